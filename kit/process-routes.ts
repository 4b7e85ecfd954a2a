import type { Registry } from 'prom-client'
import type { HttpRoutes } from './http.ts'

/** What `/readyz` answers: 503 unless ready, with all of it as the body. */
export interface ProcessReadiness {
  readonly ready: boolean
}

/** What everybody may ask of a process over HTTP: whether it lives, whether it does its work, and its metrics. */
export const processRoutes = (
  registry: Pick<Registry, 'metrics' | 'contentType'>,
  readiness: () => ProcessReadiness,
): HttpRoutes => ({
  '/healthz': () => ({ status: 200, body: '{"status":"alive"}' }),
  '/readyz': () => {
    const answer = readiness()
    return { status: answer.ready ? 200 : 503, body: JSON.stringify(answer) }
  },
  '/metrics': async () => ({ status: 200, body: await registry.metrics(), contentType: registry.contentType }),
})
