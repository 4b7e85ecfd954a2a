/**
 * Follows the documents and says what changes for Envoy. A change costs what it touches: a model or a pipeline its route, a
 * replica the endpoint sets that hold it, a gateway the one set of them all. Endpoint sets are counted by the routes that name
 * them and go with the last one.
 */
import type { ClusterState, ClusterView } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type {
  DataPath,
  ExperimentDocument,
  GatewayDocument,
  ModelDocument,
  PipelineDocument,
  ReplicaDocument,
  ReplicaKey,
  RouteDocument,
} from '../domain/documents.ts'
import { toPipelineTarget } from '../domain/pipeline/target.ts'
import { createGroups } from '../domain/index/groups.ts'
import { sameValue } from '../domain/same-value.ts'
import type { ChangeIr, RouteIr, SplitIr } from '../../xds/index.ts'
import { MESH, toEndpoint, toEndpointSet, toMeshSet, toNameSource } from './endpoint-set.ts'
import { PIPELINE_GATEWAY, toGatewayEndpoint, toGatewaySet, toPipelineRouteIr } from './pipeline.ts'
import { MESH_ROUTE, sharesOf, toRouteIr } from './route.ts'
import { toSplits } from './splits.ts'

export interface RoutingProjection {
  /** Everything that stands, for a start; the projection follows from there. */
  readonly full: (revision: number) => ChangeIr
  /** What one commit changes. Call it after the cluster state has applied these changes, once per commit and in order. */
  readonly project: (changes: readonly DocumentChange[], revision: number) => ChangeIr
  /** Routes of models and pipelines that Envoy is told of, for the removal guard. */
  readonly routeCount: () => number
}

interface CountedSet {
  readonly replicas: readonly ReplicaKey[]
  readonly path: DataPath
  routes: number
}

/** Ids and targets that one commit touched, and whether they stood before it; what becomes of them is decided at its end. */
interface Touched {
  readonly sets: Map<string, boolean>
  readonly routes: Map<string, boolean>
  /** The table of splits changed: all of it is given. */
  splits: boolean
}

export function createRoutingProjection(
  cluster: ClusterView & Pick<ClusterState, 'models' | 'replicas' | 'pipelines' | 'gateways' | 'experiments'>,
): RoutingProjection {
  const routes = new Map<string, RouteIr>()
  const sets = new Map<string, CountedSet>()
  const setsByReplica = createGroups<ReplicaKey, string>()
  const splits = new Map<string, readonly SplitIr[]>()

  function take(id: string, route: Pick<RouteDocument, 'replicas' | 'dataPath'> | undefined, touched: Touched): void {
    const known = sets.get(id)
    if (known !== undefined) {
      known.routes += 1
      return
    }
    touch(touched.sets, id, false)
    const { replicas = [], dataPath: path = 'direct' } = route ?? {}
    sets.set(id, { replicas, path, routes: 1 })
    for (const key of replicas) setsByReplica.add(key, id)
  }

  function release(id: string, touched: Touched): void {
    const known = sets.get(id)
    if (known === undefined) return
    known.routes -= 1
    if (known.routes > 0) return
    touch(touched.sets, id, true)
    sets.delete(id)
    for (const key of known.replicas) setsByReplica.remove(key, id)
  }

  /** Takes the new set before it releases the old one, so a set is never dropped and made again. */
  function follow(
    target: string,
    after: RouteIr | undefined,
    route: RouteDocument | undefined,
    touched: Touched,
  ): void {
    const before = routes.get(target)
    if (sameValue(before, after)) return
    touch(touched.routes, target, before !== undefined)
    const shares = route === undefined ? [] : sharesOf(route)
    for (const [index, { endpointSetId }] of (after?.destinations ?? []).entries())
      take(endpointSetId, shares[index], touched)
    for (const { endpointSetId } of before?.destinations ?? []) release(endpointSetId, touched)
    if (after === undefined) routes.delete(target)
    else routes.set(target, after)
  }

  function followModel(name: string, model: ModelDocument | undefined, touched: Touched): void {
    follow(name, model && toRouteIr(model), model?.route, touched)
  }

  function followPipeline(name: string, pipeline: PipelineDocument | undefined, touched: Touched): void {
    follow(toPipelineTarget(name), pipeline && toPipelineRouteIr(pipeline), undefined, touched)
  }

  function followGateway(
    before: GatewayDocument | undefined,
    after: GatewayDocument | undefined,
    touched: Touched,
  ): void {
    if (!sets.has(PIPELINE_GATEWAY)) return
    const isSame = sameValue(before && toGatewayEndpoint(before), after && toGatewayEndpoint(after))
    if (!isSame) touch(touched.sets, PIPELINE_GATEWAY, true)
  }

  function followExperiment(name: string, experiment: ExperimentDocument | undefined, touched: Touched): void {
    const after = experiment === undefined ? [] : toSplits(experiment)
    if (sameValue(splits.get(name) ?? [], after)) return
    touched.splits = true
    if (after.length === 0) splits.delete(name)
    else splits.set(name, after)
  }

  function followChange(change: DocumentChange, touched: Touched): void {
    if (change.kind === 'experiment') followExperiment(change.name, change.after, touched)
    if (change.kind === 'model') followModel(change.name, change.after, touched)
    if (change.kind === 'pipeline') followPipeline(change.name, change.after, touched)
    if (change.kind === 'gateway') followGateway(change.before, change.after, touched)
    if (change.kind !== 'replica') return
    for (const id of [MESH, ...setsByReplica.get(change.name)])
      if (!isSameEndpoint(change.before, change.after, sets.get(id)?.path ?? 'direct')) touch(touched.sets, id, true)
  }

  function toChange(touched: Touched, revision: number): ChangeIr {
    const setIds = [...touched.sets.keys()].toSorted()
    const targets = [...touched.routes.keys()].toSorted()
    return {
      revision,
      upsertRoutes: targets.flatMap((target) => routes.get(target) ?? []),
      removeTargets: targets.filter((target) => !routes.has(target) && touched.routes.get(target) === true),
      upsertEndpointSets: setIds.flatMap((id) => {
        if (id === MESH) return toMeshSet(cluster.replicas())
        const set = sets.get(id)
        if (set !== undefined && id === PIPELINE_GATEWAY) return toGatewaySet(cluster.gateways())
        return set === undefined ? [] : toEndpointSet(set.replicas, set.path, cluster)
      }),
      removeEndpointSetIds: setIds.filter((id) => id !== MESH && !sets.has(id) && touched.sets.get(id) === true),
      ...(touched.splits ? { splits: tableOf(splits) } : {}),
    }
  }

  return {
    full: (revision) => {
      for (const [target] of routes) follow(target, undefined, undefined, noTouch())
      const touched = noTouch()
      touch(touched.sets, MESH, false)
      for (const model of cluster.models()) followModel(model.name, model, touched)
      splits.clear()
      touched.splits = true
      for (const experiment of cluster.experiments()) followExperiment(experiment.name, experiment, touched)
      for (const pipeline of cluster.pipelines()) followPipeline(pipeline.name, pipeline, touched)
      const change = toChange(touched, revision)
      return { ...change, upsertRoutes: [MESH_ROUTE, ...change.upsertRoutes] }
    },
    project: (changes, revision) => {
      const touched = noTouch()
      for (const change of changes) followChange(change, touched)
      return toChange(touched, revision)
    },
    routeCount: () => routes.size,
  }
}

function isSameEndpoint(
  before: ReplicaDocument | undefined,
  after: ReplicaDocument | undefined,
  path: DataPath,
): boolean {
  if (before === undefined || after === undefined) return before === after
  const isSameKind = toNameSource(path, before) === toNameSource(path, after)
  return isSameKind && sameValue(toEndpoint(before, path), toEndpoint(after, path))
}

const noTouch = (): Touched => ({ sets: new Map(), routes: new Map(), splits: false })

/** Sorted, so that equal documents give equal bytes; of two that claim one endpoint, which is refused, the first has it. */
function tableOf(splits: ReadonlyMap<string, readonly SplitIr[]>): readonly SplitIr[] {
  const byTarget = new Map<string, SplitIr>()
  for (const name of [...splits.keys()].toSorted())
    for (const split of splits.get(name) ?? []) if (!byTarget.has(split.target)) byTarget.set(split.target, split)
  return [...byTarget.values()]
}

/** Remembers how it stood at the first touch. */
function touch(touched: Map<string, boolean>, key: string, stood: boolean): void {
  if (!touched.has(key)) touched.set(key, stood)
}
