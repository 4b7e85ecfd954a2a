import type { FastifyPluginCallback } from 'fastify'
import { Type } from 'typebox'
import { toWorker } from '../../dataflow/workers.ts'
import { type BackendSource, requireBackend } from '../backend.ts'
import { READ_PROBLEMS, ref } from '../schemas.ts'

/** `/v1/workers`: the pipeline gateways, engines and model gateways of the leading scheduler. */
export const workerRoutes: FastifyPluginCallback<{ readonly source: BackendSource }> = (app, { source }, done) => {
  app.get(
    '',
    {
      schema: {
        summary: 'Pipeline gateways, engines and model gateways: what each answers or reads, and how far behind it is',
        tags: ['workers'],
        response: {
          200: Type.Object({
            leading: Type.Boolean({ description: 'Workers are connected to the leading scheduler; others list none.' }),
            items: Type.Array(ref('Worker')),
          }),
          ...READ_PROBLEMS,
        },
      },
    },
    () => {
      const workers = requireBackend(source).workers()
      return {
        leading: workers !== undefined,
        items: (workers ?? []).map(toWorker),
      }
    },
  )
  done()
}
