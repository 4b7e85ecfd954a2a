/** How a process that lives off short requests tells V8 so. */
import { setFlagsFromString } from 'node:v8'

/**
 * Before the first request. V8 may take what requests make for long-lived, because some of it lived through a scavenge, and puts the
 * next of its kind into the old space, where each keeps all that it refers to until a full collection.
 */
export function keepRequestsYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}
