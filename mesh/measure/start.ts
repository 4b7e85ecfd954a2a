import { loadCallerSecurity } from '../../kit/grpc-security.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { MeshMetricsConfig } from '../config.ts'
import { createEnvoyAdmin } from '../envoy-admin.ts'
import { CANDIDATE_COUNTERS_QUERY, CANDIDATE_HISTOGRAMS_QUERY, toReading } from './candidate-stats.ts'
import { startReporter } from './reporter.ts'

/** @throws ServingError CONFIG_INVALID */
export function startMeasuring(config: MeshMetricsConfig & { readonly scheduler: string }, log: Logger): Running {
  const { adminUrl, scrapeDeadlineMs: deadlineMs, maxAnswerBytes: maxBytes } = config
  const admin = createEnvoyAdmin({ adminUrl, deadlineMs, maxBytes })
  return startReporter({
    scheduler: config.scheduler,
    security: loadCallerSecurity(config, log),
    intervalMs: config.measureIntervalMs,
    read: async () =>
      toReading(await Promise.all([admin.get(CANDIDATE_COUNTERS_QUERY), admin.get(CANDIDATE_HISTOGRAMS_QUERY)])),
    log,
  })
}
