/** Tells the scheduler how far behind the units of this process are: every few seconds those of which something changed. */
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import { everyMs } from '../../kit/backoff.ts'
import type { UnitKind } from './held-units.ts'

const EVERY_MS = 2_000

export interface LagReportsDeps {
  readonly kind: UnitKind
  /** Records that are not done, by unit. */
  readonly lag: () => ReadonlyMap<string, number>
  readonly send: (message: GatewayMessage) => void
  readonly signal: AbortSignal
}

export interface LagReports {
  /** A stream began: whoever is there knows nothing yet. */
  readonly onStream: () => void
}

export function startLagReports({ kind, lag, send, signal }: LagReportsDeps): LagReports {
  let told: ReadonlyMap<string, number> = new Map()
  void everyMs(EVERY_MS, signal, () => {
    const now = lag()
    const lags = [...now].flatMap(([name, records]) => (told.get(name) === records ? [] : [{ kind, name, records }]))
    told = now
    if (lags.length > 0) send({ unitLags: { lags } })
  })
  return {
    onStream: () => {
      told = new Map()
    },
  }
}
