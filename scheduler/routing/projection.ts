/**
 * Follows the documents and says what changes for Envoy. A change costs what it touches: a model its route, a replica the
 * endpoint sets that hold it. Endpoint sets are counted by the routes that name them and go with the last one.
 */
import type { ClusterState, ClusterView } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { ReplicaDocument, ReplicaKey } from '../domain/documents.ts'
import { createGroups } from '../domain/index/groups.ts'
import { sameValue } from '../domain/same-value.ts'
import type { ChangeIr, RouteIr } from '../../xds/index.ts'
import { MESH, toEndpoint, toEndpointSet, toMeshSet } from './endpoint-set.ts'
import { MESH_ROUTE, toRouteIr } from './route.ts'

export interface RoutingProjection {
  /** Everything that stands, for a start; the projection follows from there. */
  readonly full: (revision: number) => ChangeIr
  /** What one commit changes. Call it after the cluster state has applied these changes, once per commit and in order. */
  readonly project: (changes: readonly DocumentChange[], revision: number) => ChangeIr
  /** Routes of models that Envoy is told of, for the removal guard. */
  readonly routeCount: () => number
}

interface CountedSet {
  readonly replicas: readonly ReplicaKey[]
  routes: number
}

/** Ids and targets that one commit touched; what becomes of them is decided at its end. */
interface Touched {
  readonly sets: Set<string>
  readonly routes: Set<string>
}

export function createRoutingProjection(
  cluster: ClusterView & Pick<ClusterState, 'models' | 'replicas'>,
): RoutingProjection {
  const routes = new Map<string, RouteIr>()
  const sets = new Map<string, CountedSet>()
  const setsByReplica = createGroups<ReplicaKey, string>()

  function take(id: string, replicas: readonly ReplicaKey[]): boolean {
    const known = sets.get(id)
    if (known !== undefined) {
      known.routes += 1
      return false
    }
    sets.set(id, { replicas, routes: 1 })
    for (const key of replicas) setsByReplica.add(key, id)
    return true
  }

  function release(id: string): boolean {
    const known = sets.get(id)
    if (known === undefined) return false
    known.routes -= 1
    if (known.routes > 0) return false
    sets.delete(id)
    for (const key of known.replicas) setsByReplica.remove(key, id)
    return true
  }

  /** Takes the new set before it releases the old one, so a shared set is never dropped and made again. */
  function followModel(name: string, touched: Touched): void {
    const model = cluster.model(name)
    const before = routes.get(name)
    const after = model === undefined ? undefined : toRouteIr(model)
    if (sameValue(before, after)) return
    touched.routes.add(name)
    for (const { endpointSetId } of after?.destinations ?? [])
      if (take(endpointSetId, model?.route?.replicas ?? [])) touched.sets.add(endpointSetId)
    for (const { endpointSetId } of before?.destinations ?? [])
      if (release(endpointSetId)) touched.sets.add(endpointSetId)
    if (after === undefined) routes.delete(name)
    else routes.set(name, after)
  }

  function followChange(change: DocumentChange, touched: Touched): void {
    if (change.kind === 'model') followModel(change.name, touched)
    if (change.kind !== 'replica' || isSameEndpoint(change.before, change.after)) return
    touched.sets.add(MESH)
    for (const id of setsByReplica.get(change.name)) touched.sets.add(id)
  }

  function toChange(touched: Touched, standing: { has: (target: string) => boolean }, revision: number): ChangeIr {
    const setIds = [...touched.sets].toSorted()
    const targets = [...touched.routes].toSorted()
    return {
      revision,
      upsertRoutes: targets.flatMap((target) => (target === MESH ? MESH_ROUTE : (routes.get(target) ?? []))),
      removeTargets: targets.filter((target) => target !== MESH && !routes.has(target) && standing.has(target)),
      upsertEndpointSets: setIds.flatMap((id) => {
        if (id === MESH) return toMeshSet(cluster.replicas())
        const set = sets.get(id)
        return set === undefined ? [] : toEndpointSet(set.replicas, cluster)
      }),
      removeEndpointSetIds: setIds.filter((id) => id !== MESH && !sets.has(id)),
    }
  }

  return {
    full: (revision) => {
      routes.clear()
      sets.clear()
      const touched: Touched = { sets: new Set([MESH]), routes: new Set([MESH]) }
      for (const model of cluster.models()) followModel(model.name, touched)
      return toChange(touched, new Set(), revision)
    },
    project: (changes, revision) => {
      const standing = new Set(
        changes.flatMap((change) => (change.kind === 'model' && routes.has(change.name) ? change.name : [])),
      )
      const touched: Touched = { sets: new Set(), routes: new Set() }
      for (const change of changes) followChange(change, touched)
      return toChange(touched, standing, revision)
    },
    routeCount: () => routes.size,
  }
}

function isSameEndpoint(before: ReplicaDocument | undefined, after: ReplicaDocument | undefined): boolean {
  if (before === undefined || after === undefined) return before === after
  return before.nameSource === after.nameSource && sameValue(toEndpoint(before), toEndpoint(after))
}
