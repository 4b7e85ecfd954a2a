/**
 * Tells the scheduler that leads what Envoy measures of candidates, as long as it measures anything: Envoy is read only then.
 * A scheduler that is away costs nothing but time, because totals are sent and not differences.
 */
import { randomUUID } from 'node:crypto'
import type { MeasurementAnswer__Output } from '../../api/generated/millrace/measurements/MeasurementAnswer.ts'
import type { MeasurementReport } from '../../api/generated/millrace/measurements/MeasurementReport.ts'
import { GRPC_OPTIONS, Measurements } from '../../api/grpc.ts'
import { everyMs } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { CallerSecurity } from '../../kit/grpc-security.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { addReading, NO_WINDOWS, type Reading, type Windows } from './windows.ts'

const REPORT_DEADLINE_MS = 2_000

export interface ReporterDeps {
  /** `host:port` of a scheduler's API for agents. */
  readonly scheduler: string
  readonly security: CallerSecurity
  readonly intervalMs: number
  /** @throws ServingError ENVOY_UNAVAILABLE */
  readonly read: () => Promise<Reading>
  readonly log: Logger
}

export function startReporter(deps: ReporterDeps): Running {
  const abort = new AbortController()
  const reporter = randomUUID()
  const clientOf = (address: string): InstanceType<typeof Measurements> =>
    new Measurements(address, deps.security.credentials, { ...GRPC_OPTIONS, ...deps.security.options })
  let address = deps.scheduler
  let client = clientOf(address)
  let sequence = 0
  let known: ReadonlyMap<string, string> = new Map()
  let windows: Windows = NO_WINDOWS
  let isLost = false

  function goTo(next: string): void {
    if (next === address) return
    client.close()
    address = next
    client = clientOf(address)
  }

  const report = (message: MeasurementReport): Promise<MeasurementAnswer__Output> =>
    new Promise((resolve, reject) => {
      client.Report(message, { deadline: Date.now() + REPORT_DEADLINE_MS }, (error, answer) => {
        if (error !== null) reject(error)
        else if (answer !== undefined) resolve(answer)
      })
    })

  async function exchange(): Promise<void> {
    sequence += 1
    const answer = await report({ reporter, sequence, windows: toMessages(windows) })
    if (answer.redirect !== '') {
      goTo(answer.redirect)
      return
    }
    known = new Map(answer.measured.map(({ experiment, window }) => [experiment, window]))
  }

  async function beat(): Promise<void> {
    try {
      const began = known
      windows = began.size === 0 ? NO_WINDOWS : addReading(windows, await deps.read(), began)
    } catch (error) {
      deps.log.debug({ error: toServingError(error).message }, 'Envoy could not be read for measurements')
    }
    try {
      await exchange()
      isLost = false
    } catch (error) {
      deps.log[isLost ? 'debug' : 'warn'](
        { scheduler: address, error: toServingError(error).message },
        'measurements could not be reported, they are sent again',
      )
      isLost = true
      goTo(deps.scheduler)
    }
  }

  const running = everyMs(deps.intervalMs, abort.signal, beat)
  return {
    stop: async () => {
      abort.abort()
      client.close()
      await running
    },
  }
}

const toMessages = ({ totals }: Windows): NonNullable<MeasurementReport['windows']> =>
  [...totals].map(([experiment, { window, candidates }]) => ({
    experiment,
    window,
    candidates: [...candidates].map(([candidate, { requests, errors, buckets }]) => ({
      candidate,
      requests,
      errors,
      buckets: [...buckets],
    })),
  }))
