/** The HTTP port beside Envoy. Nothing here is in the way of a request: it reads when it is asked, and only then. */
import { toServingError } from '../kit/errors.ts'
import { type HttpAnswer, serveHttp } from '../kit/http.ts'
import type { Running } from '../kit/lifecycle.ts'
import type { Logger } from '../kit/log.ts'
import { loadSecurity } from '../kit/security.ts'
import type { MeshMetricsConfig } from './config.ts'
import { createEnvoyAdmin } from './envoy-admin.ts'
import { parseStats } from './envoy-stats.ts'
import { CONTENT_TYPE, toText } from './prometheus.ts'
import { READINESS_QUERY, toReadiness } from './readiness.ts'
import { createScraper } from './scraper.ts'
import { toFamilies } from './series.ts'

type Answering = () => Promise<HttpAnswer>

export async function startMeshMetrics(
  config: MeshMetricsConfig,
  log: Logger,
): Promise<Running & { readonly port: number }> {
  const { adminUrl, scrapeDeadlineMs: deadlineMs, maxAnswerBytes: maxBytes } = config
  const admin = createEnvoyAdmin({ adminUrl, deadlineMs, maxBytes })
  const scrape = createScraper(admin)

  /** Envoy away is an expected state, not a failure of ours. */
  const orUnavailable =
    (answer: Answering): Answering =>
    async () => {
      try {
        return await answer()
      } catch (error) {
        const failure = toServingError(error)
        if (failure.code !== 'ENVOY_UNAVAILABLE') throw failure
        log.warn({ error: failure.message }, 'Envoy could not be read')
        return { status: 503, body: JSON.stringify({ error: failure.message, code: failure.code }) }
      }
    }

  return await serveHttp({
    host: config.host,
    port: config.httpPort,
    log,
    security: loadSecurity(config, config.host, log),
    routes: {
      '/healthz': () => ({ status: 200, body: '{"status":"alive"}' }),
      '/ready': orUnavailable(async () => {
        const readiness = toReadiness(parseStats(await admin.get(READINESS_QUERY)))
        return { status: readiness.ready ? 200 : 503, body: JSON.stringify(readiness) }
      }),
      '/metrics': orUnavailable(async () => ({
        status: 200,
        body: toText(toFamilies(await scrape())),
        contentType: CONTENT_TYPE,
      })),
    },
  })
}
