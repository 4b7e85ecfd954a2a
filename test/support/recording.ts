/** Journals of tests take records in one way, in whichever of the two they are given. */
import type { Journal } from '../../dataflow/journal/journal.ts'
import { toServingError } from '../../kit/errors.ts'

export const recordingBy = (record: Journal['record']): Pick<Journal, 'record' | 'write'> => ({
  record,
  write: (given, waiter) => {
    record(given).then(
      () => waiter?.onRecorded(undefined),
      (error: unknown) => waiter?.onRecorded(toServingError(error)),
    )
  },
})
