import type { StoredResource } from '../../api/resources/status.ts'
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { pause } from '../../kit/backoff.ts'

const DEADLINE_MS = 10_000
const LOOK_EVERY_MS = 200

/**
 * Waits until the scheduler says that the agent of a server replica is connected. An agent that has no scheduler at the
 * moment, because that was just started again, would end without draining. Gives up at a deadline; never rejects.
 */
export async function untilAgentConnected(
  admin: Pick<AdminClient, 'get'>,
  server: string,
  index: number,
  signal: AbortSignal,
): Promise<void> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)])
  while (!late.aborted) {
    const found = await admin.get('Server', server).catch(() => undefined) // no scheduler yet: asked again
    if (found !== undefined && isConnected(found.resource, index)) return
    await pause(LOOK_EVERY_MS, late)
  }
}

function isConnected(resource: StoredResource, index: number): boolean {
  if (resource.kind !== 'Server') return false
  const replica = `${resource.metadata.name}/${String(index)}`
  return resource.status?.replicaStatuses?.some((one) => one.replica === replica && one.agent === 'connected') === true
}
