import { Counter, Histogram, type Registry } from 'prom-client'
import { gaugesOf } from '../../kit/gauges.ts'

export interface JournalGauges {
  readonly waitingRecords: () => number
  readonly waitingBytes: () => number
  /** Age of what waits longest. */
  readonly lagSeconds: () => number
  readonly spillBytes: () => number
  readonly available: () => boolean
}

export interface JournalMetrics {
  /** So many together, the oldest of which took so long. */
  acknowledged(count: number, seconds: number): void
  refused(): void
  spilled(): void
  replayed(count: number): void
  lost(): void
}

const ACK_BUCKETS_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createJournalMetrics(registry: Registry, gauges: JournalGauges): JournalMetrics {
  const registers = [registry]
  const counter = (name: string, help: string) => new Counter({ name, help, registers })
  const gauge = gaugesOf(registry)
  const acknowledged = counter('millrace_journal_records_total', 'Records that Kafka acknowledged.')
  const refused = counter('millrace_journal_refused_total', 'Records that were refused to whoever recorded them.')
  const spilled = counter('millrace_journal_spilled_total', 'Records that went to the spill file.')
  const replayed = counter('millrace_journal_replayed_total', 'Records of the spill file that Kafka acknowledged.')
  const lost = counter(
    'millrace_journal_lost_total',
    'Records that nobody has, although somebody was answered. Must stay 0.',
  )
  const seconds = new Histogram({
    name: 'millrace_journal_ack_seconds',
    help: 'From recording to the acknowledgement, of the oldest of the records that were sent together.',
    buckets: ACK_BUCKETS_SECONDS,
    registers,
  })
  gauge.one('millrace_journal_waiting_records', 'Records that wait for an acknowledgement.', gauges.waitingRecords)
  gauge.one('millrace_journal_waiting_bytes', 'What these take.', gauges.waitingBytes)
  gauge.one('millrace_journal_lag_seconds', 'How long the oldest of these waits.', gauges.lagSeconds)
  gauge.one('millrace_journal_spill_bytes', 'What the spill file holds that has to be sent.', gauges.spillBytes)
  gauge.one('millrace_journal_available', '1: Kafka takes records.', () => Number(gauges.available()))
  return {
    acknowledged(count, took) {
      acknowledged.inc(count)
      seconds.observe(took)
    },
    refused: () => {
      refused.inc()
    },
    spilled: () => {
      spilled.inc()
    },
    replayed: (count) => {
      replayed.inc(count)
    },
    lost: () => {
      lost.inc()
    },
  }
}
