import type { FastifyPluginCallback } from 'fastify'
import { type Static, Type } from 'typebox'
import type { StoredExperiment } from '../../../api/resources/status.ts'
import { type BackendSource, requireBackend } from '../backend.ts'
import { READ_PROBLEMS, ref } from '../schemas.ts'

const Named = Type.Object({ name: Type.String({ minLength: 1 }) })

/** `/v1/experiments/{name}/decisions`: what a rollout decided, and by which figures. */
export const decisionRoutes: FastifyPluginCallback<{ readonly source: BackendSource }> = (app, { source }, done) => {
  app.get<{ Params: Static<typeof Named> }>(
    '/:name/decisions',
    {
      schema: {
        summary: 'What the rollout of an experiment decided, and by which figures',
        description: 'At most 50, newest last.',
        tags: ['experiments'],
        params: Named,
        response: { 200: Type.Object({ decisions: Type.Array(ref('Decision')) }), ...READ_PROBLEMS },
      },
    },
    ({ params }) => {
      const { status } = requireBackend(source).operations.get('Experiment', params.name) as StoredExperiment
      return { decisions: status?.decisions ?? [] }
    },
  )
  done()
}
