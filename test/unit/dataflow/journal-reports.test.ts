import { expect, it } from 'vitest'
import { startJournalReports } from '../../../dataflow/control/journal-reports.ts'
import type { JournalStatus } from '../../../dataflow/journal/journal.ts'

const KAFKA: JournalStatus = {
  kind: 'kafka',
  available: true,
  brokers: 1,
  replicationFactor: 1,
  replicated: false,
  remark: 'one copy',
  spilledBytes: 0,
}

it('nothing is sent before there is a stream, also when the brokers were counted sooner: the introduction tells it', () => {
  const stop = new AbortController()
  const send = (): void => {
    throw new Error('there is no stream yet')
  }
  const reports = startJournalReports({ journal: { status: () => KAFKA }, send, signal: stop.signal })
  expect(reports.introduce()).toEqual({ unreplicated: true, remark: 'one copy' })
  stop.abort()
})
