import type { FastifyPluginCallback } from 'fastify'
import { parseResource } from '../../../api/resources/resource.ts'
import { issuesError } from '../../../kit/errors.ts'
import { type BackendSource, requireBackend } from '../backend.ts'
import { ref, WRITE_PROBLEMS } from '../schemas.ts'

/** `/v1/placement/explain`: where a Model would go, and what each server's filters say. */
export const placementRoutes: FastifyPluginCallback<{ readonly source: BackendSource }> = (app, { source }, done) => {
  app.post(
    '/explain',
    {
      schema: {
        summary: 'Where a Model would be placed, and why not elsewhere',
        description: 'Nothing is written. The body is a Model as it would be put.',
        tags: ['placement'],
        body: ref('Model'),
        response: { 200: ref('Placement'), ...WRITE_PROBLEMS },
      },
    },
    ({ body }) => {
      const resource = parseResource(body)
      if (resource.kind !== 'Model')
        throw issuesError('REQUEST_INVALID', 'the request', [
          { path: 'kind', message: `is ${resource.kind}: only a Model is placed` },
        ])
      return requireBackend(source).explainPlacement(resource)
    },
  )
  done()
}
