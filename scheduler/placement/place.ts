/**
 * Chooses the server and the replicas of a model version, or explains for each server what refused it. Pure; the cost is the number
 * of replicas of the servers considered, whatever the number of models.
 */
import type { ClusterView } from '../domain/cluster.ts'
import type { PlacementExplanation, ReplicaDocument } from '../domain/documents.ts'
import type { PlacementRequest, PlacementResult } from '../domain/placement-request.ts'
import { chooseReplicas } from './choose-replicas.ts'
import { capabilities } from './filters/capabilities.ts'
import { excluded } from './filters/excluded.ts'
import type { ReplicaFilter, ServerFilter } from './filters/filter.ts'
import { healthy } from './filters/healthy.ts'
import { freeMemoryBytes, memory } from './filters/memory.ts'
import { ownServer } from './filters/own-server.ts'
import { pinned } from './filters/pinned.ts'
import { scaledDown } from './filters/scaled-down.ts'

export const SERVER_FILTERS: readonly ServerFilter[] = [pinned, ownServer, scaledDown]
export const REPLICA_FILTERS: readonly ReplicaFilter[] = [excluded, healthy, capabilities, memory]

type ServerRefusal = PlacementExplanation['servers'][number]
interface Candidate {
  readonly server: string
  readonly fitting: readonly ReplicaDocument[]
  readonly refusals: readonly ServerRefusal[]
}

/** Finds `count` replicas on one server, or as many as there are down to `minCount`. */
export function place(request: PlacementRequest, cluster: ClusterView): PlacementResult {
  const servers = cluster.serverNames()
  const candidates = servers.map((server) => toCandidate(request, server, cluster))
  const best = candidates
    .filter(({ fitting }) => fitting.length >= Math.max(1, request.minCount))
    .toSorted((a, b) => compareCandidates(request, a, b, cluster))[0]
  if (best === undefined) return { kind: 'refused', explanation: explain(request, candidates) }
  const count = Math.min(request.count, best.fitting.length)
  return {
    kind: 'placed',
    server: best.server,
    replicas: chooseReplicas(request, best.server, best.fitting, count, cluster),
    shortfall: count < request.count ? explain(request, candidates) : undefined,
  }
}

function toCandidate(request: PlacementRequest, server: string, cluster: ClusterView): Candidate {
  for (const { name, refusal } of SERVER_FILTERS) {
    const detail = refusal(request, server, cluster)
    if (detail !== undefined) return { server, fitting: [], refusals: [{ server, filter: name, detail }] }
  }
  const replicas = cluster.replicasOf(server)
  if (replicas.length === 0)
    return { server, fitting: [], refusals: [{ server, filter: 'connected', detail: 'no replica has connected' }] }
  const verdicts = replicas.map((replica) => ({ replica, refusal: firstRefusal(request, server, replica, cluster) }))
  return {
    server,
    fitting: verdicts.flatMap(({ replica, refusal }) => (refusal === undefined ? replica : [])),
    refusals: verdicts.flatMap(({ refusal }) => refusal ?? []),
  }
}

function firstRefusal(
  request: PlacementRequest,
  server: string,
  replica: ReplicaDocument,
  cluster: ClusterView,
): ServerRefusal | undefined {
  for (const { name, refusal } of REPLICA_FILTERS) {
    const detail = refusal(request, replica, cluster)
    if (detail !== undefined) return { server, filter: name, detail: `${replica.key} ${detail}` }
  }
  return undefined
}

/** Whole placements before partial ones, then where the version before it is, then the most free memory, then by name. */
function compareCandidates(request: PlacementRequest, a: Candidate, b: Candidate, cluster: ClusterView): number {
  const fits = (candidate: Candidate): number => Math.min(request.count, candidate.fitting.length)
  const isNear = (candidate: Candidate): number =>
    Number(request.near.some((key) => key.startsWith(`${candidate.server}/`)))
  const free = (candidate: Candidate): number =>
    Math.max(0, ...candidate.fitting.map((replica) => freeMemoryBytes(replica, cluster)))
  return fits(b) - fits(a) || isNear(b) - isNear(a) || free(b) - free(a) || (a.server < b.server ? -1 : 1)
}

function explain(request: PlacementRequest, candidates: readonly Candidate[]): PlacementExplanation {
  const most = Math.max(0, ...candidates.map(({ fitting }) => fitting.length))
  const servers = candidates.flatMap((candidate) =>
    candidate.refusals.length > 0 ? candidate.refusals : [tooFew(request, candidate)],
  )
  return {
    reason:
      candidates.length === 0
        ? 'no server is known: start a model server with its agent'
        : `${String(request.count)} more replica(s) wanted on one server, at most ${String(most)} fit: ` +
          'add server replicas or memory, or change the model',
    servers,
  }
}

function tooFew({ count }: PlacementRequest, { server, fitting }: Candidate): ServerRefusal {
  const detail = `has ${String(fitting.length)} suitable replica(s), ${String(count)} more are needed`
  return { server, filter: 'replicas', detail }
}
