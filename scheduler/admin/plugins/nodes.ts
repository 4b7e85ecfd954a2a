import type { FastifyPluginCallback } from 'fastify'
import { Type } from 'typebox'
import type { NodeReport } from '../../loop/nodes.ts'
import { type BackendSource, requireBackend } from '../backend.ts'
import { READ_PROBLEMS, ref } from '../schemas.ts'

/** `/v1/nodes`: the Envoys that are connected to any scheduler. */
export const nodeRoutes: FastifyPluginCallback<{ readonly source: BackendSource }> = (app, { source }, done) => {
  app.get(
    '',
    {
      schema: {
        summary: 'The Envoys of all schedulers: what each has ACKed, and what it refused and why',
        tags: ['nodes'],
        response: {
          200: Type.Object({ revision: Type.Integer(), items: Type.Array(ref('Node')) }),
          ...READ_PROBLEMS,
        },
      },
    },
    () => {
      const { revision, nodes } = requireBackend(source)
      return { revision: revision(), items: nodes().map(toNode) }
    },
  )
  done()
}

function toNode({ node, scheduler, ackedRevision, told }: NodeReport): object {
  const { connectedAtMs, silentSinceMs, heldBecause, refusals = [] } = told ?? {}
  return {
    node,
    scheduler,
    ackedRevision,
    ...(connectedAtMs === undefined ? {} : { connectedSince: toIso(connectedAtMs) }),
    ...(silentSinceMs === undefined ? {} : { silentSince: toIso(silentSinceMs) }),
    ...(heldBecause === undefined ? {} : { heldBecause }),
    refusals: refusals.map(({ atMs, ...refusal }) => ({ at: toIso(atMs), ...refusal })),
  }
}

const toIso = (ms: number): string => new Date(ms).toISOString()
