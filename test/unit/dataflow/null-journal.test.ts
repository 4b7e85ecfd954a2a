import { expect, it } from 'vitest'
import { nullJournal } from '../../../dataflow/journal/journal.ts'
import { ERRORS } from '../../../dataflow/journal/topics.ts'

it('without Kafka a record is taken at once and a status says that there is no journal', async () => {
  const message = { kind: 'error', text: 'none' } as const
  const record = { topic: ERRORS, key: '0.p.r', partition: 0, headers: [], message, onFailure: 'fail-closed' } as const
  await expect(nullJournal.record(record)).resolves.toBeUndefined()
  await new Promise<void>((resolve) => {
    const onRecorded = (error: unknown): void => {
      expect(error).toBeUndefined()
      resolve()
    }
    nullJournal.write(record, { onRecorded })
  })
  expect(nullJournal.status()).toEqual({ kind: 'none' })
})
