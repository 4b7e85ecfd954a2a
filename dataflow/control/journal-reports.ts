/** Tells the scheduler how the journal of this process stands: when a stream begins, and whenever that changes. */
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { JournalReport } from '../../api/generated/millrace/dataflow/JournalReport.ts'
import { everyMs, pause } from '../../kit/backoff.ts'
import type { Journal } from '../journal/journal.ts'

const EVERY_MS = 1_000

export interface JournalReportsDeps {
  readonly journal: Pick<Journal, 'status'>
  readonly send: (message: GatewayMessage) => void
  readonly signal: AbortSignal
}

export interface JournalReports {
  /** For the introduction on a new stream; undefined while there is nothing to tell. */
  readonly introduce: () => JournalReport | undefined
}

export function startJournalReports({ journal, send, signal }: JournalReportsDeps): JournalReports {
  let told: JournalReport | undefined
  const look = (): void => {
    const report = toReport(journal)
    if (report === undefined || (report.remark === told?.remark && report.unreplicated === told?.unreplicated)) return
    told = report
    send({ journal: report })
  }
  // Not at once: whoever starts this has no stream yet, and what there is to tell by then goes with the introduction.
  void pause(EVERY_MS, signal).then(() => everyMs(EVERY_MS, signal, look))
  return {
    introduce: () => {
      told = toReport(journal)
      return told
    },
  }
}

/** Undefined without a journal, and while nobody knows yet how many brokers there are. */
function toReport(journal: Pick<Journal, 'status'>): JournalReport | undefined {
  const status = journal.status()
  if (status.kind === 'none' || status.brokers === 0) return undefined
  return { unreplicated: !status.replicated, remark: status.remark }
}
