import type { FastifyPluginCallback } from 'fastify'
import { Type } from 'typebox'
import type { HttpRoutes } from '../../../kit/http.ts'

const State = Type.Object({ status: Type.String() }, { additionalProperties: true })

/** `/healthz`, `/readyz`, `/metrics`: what every process of ours answers, here too. */
export const healthPlugin: FastifyPluginCallback<{ readonly routes: HttpRoutes }> = (app, { routes }, done) => {
  for (const [path, answer] of Object.entries(routes)) {
    const ok =
      path === '/metrics'
        ? { description: 'Prometheus text', content: { 'text/plain': { schema: Type.String() } } }
        : State
    const response: Readonly<Record<number, object>> = path === '/readyz' ? { 200: ok, 503: State } : { 200: ok }
    const schema = { summary: `What ${path} says of this process`, tags: ['health'], response }
    app.get(path, { schema }, async (request, reply) => {
      const { status, body, contentType } = await answer(new URL(request.url, 'http://localhost'))
      return reply
        .code(status)
        .type(contentType ?? 'application/json')
        .send(body)
    })
  }
  done()
}
