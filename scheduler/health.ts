/** What the scheduler says of itself over HTTP. */
import type { Registry } from 'prom-client'
import type { HttpRoutes } from '../kit/http.ts'
import type { NodeStatus } from '../xds/index.ts'
import type { ControlPlane } from './loop/control-plane.ts'

/** Filled as the parts start. */
export interface HealthSource {
  controlPlane: ControlPlane | undefined
  nodes: () => readonly NodeStatus[]
}

/** `/healthz`: the process lives. `/readyz`: state is read and the APIs answer; the body says what is still awaited. */
export function healthRoutes(source: HealthSource, registry: Registry): HttpRoutes {
  return {
    '/healthz': () => ({ status: 200, body: '{"status":"ok"}' }),
    '/readyz': () => {
      const { controlPlane } = source
      if (controlPlane === undefined) return answer(503, { status: 'waiting for Redis' })
      const role = controlPlane.role()
      return answer(200, {
        status: 'ready',
        role: role.kind,
        ...(role.kind === 'following' ? { leader: role.leader?.address ?? 'not known yet' } : {}),
        revision: controlPlane.revision(),
        awaited: role.kind === 'leading' ? role.run.readiness.awaited() : [],
        nodes: source.nodes().map(nodeText),
      })
    },
    '/metrics': async () => ({ status: 200, body: await registry.metrics(), contentType: registry.contentType }),
  }
}

/** An Envoy connected here: `ackedRevision` reaches `revision` when it has everything. */
const nodeText = ({ node, ackedRevision, silentSinceMs, heldBecause }: NodeStatus) => ({
  node,
  ackedRevision,
  silent: silentSinceMs !== undefined,
  ...(heldBecause === undefined ? {} : { heldBecause }),
})

const answer = (status: number, body: object) => ({ status, body: JSON.stringify(body) })
