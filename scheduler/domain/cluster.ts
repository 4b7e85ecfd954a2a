/**
 * The documents in memory with the indexes that placement, the reconciler, agents' streams and routing need. A change costs
 * what it touches, never the number of models. I6: desired and observed stay apart; they only meet in the reservations.
 */
import type { DocumentChange } from './document-change.ts'
import { desiredReplicas, toDesired, type DesiredModelVersion } from './desired.ts'
import type {
  ExperimentDocument,
  GatewayDocument,
  InternalName,
  ModelDocument,
  ObservedDocument,
  PipelineDocument,
  ReplicaDocument,
  ReplicaKey,
  ServerDocument,
} from './documents.ts'
import { isAwaitingTableAck } from './experiment/reconcile.ts'
import { modelsSentTo } from './experiment/sent-to.ts'
import { createDependents, type DependentKey } from './index/dependents.ts'
import { createGroups } from './index/groups.ts'
import { createObservedIndex } from './index/observed.ts'
import { createReplicaSets, type ReplicaSets } from './index/replica-sets.ts'
import { createReservations } from './index/reservations.ts'
import { isAwaitingAck, isMoving, isUnplaced } from './model-facts.ts'
import { compareReplicaKeys, parseInternalName, toInternalName } from './names.ts'
import { takesNewCopies } from './replica-condition.ts'
import type { StoreSnapshot, Write } from './store.ts'

/** What pure code may ask; nothing here walks all models. */
export interface ClusterView {
  readonly model: (name: string) => ModelDocument | undefined
  readonly server: (name: string) => ServerDocument | undefined
  readonly pipeline: (name: string) => PipelineDocument | undefined
  readonly experiment: (name: string) => ExperimentDocument | undefined
  readonly gateway: (name: string) => GatewayDocument | undefined
  /** Pipelines and experiments that name this model (or experiments that name this pipeline). */
  readonly dependentsOf: (kind: 'model' | 'pipeline', name: string) => ReadonlySet<DependentKey>
  readonly replica: (key: ReplicaKey) => ReplicaDocument | undefined
  /** Names of servers that are applied or have replicas, sorted. */
  readonly serverNames: () => readonly string[]
  /** By index. */
  readonly replicasOf: (server: string) => readonly ReplicaDocument[]
  readonly observed: (replica: ReplicaKey, name: InternalName) => ObservedDocument | undefined
  /** Replicas that reported this model version, whatever its state there. */
  readonly observedReplicas: (name: InternalName) => readonly ReplicaKey[]
  /** Bytes that desired copies, and copies not yet unloaded, take on this replica. */
  readonly reservedBytes: (replica: ReplicaKey) => number
  /** What one copy takes, by its spec or else artefact size x 1.2; 0 = not known yet. */
  readonly memoryBytesOf: (model: string, version: number) => number
  /** Whether this copy's memory is already within `reservedBytes`. */
  readonly isReserved: (replica: ReplicaKey, name: InternalName) => boolean
  /** How many copies are desired on this replica. */
  readonly copiesOn: (replica: ReplicaKey) => number
  /** Sets of replicas that versions sit on, of this server and size. */
  readonly replicaSets: (server: string, size: number) => readonly (readonly ReplicaKey[])[]
}

export interface ClusterState extends ClusterView {
  /**
   * Puts one write in memory and says what changed; undefined for events. Apply each reconciliation's result at once, before
   * the next model is reconciled (its memory and its move count), and again at its revision when committed (`atRevision`).
   */
  readonly apply: (write: Write) => DocumentChange | undefined
  readonly models: () => IterableIterator<ModelDocument>
  readonly pipelines: () => IterableIterator<PipelineDocument>
  readonly experiments: () => IterableIterator<ExperimentDocument>
  /** Pipeline gateways: few, so they may be walked. */
  readonly gateways: () => IterableIterator<GatewayDocument>
  readonly replicas: () => IterableIterator<ReplicaDocument>
  readonly modelCount: () => number
  readonly pipelineCount: () => number
  /** Models that have a route: what the removal guard (I9) counts against. */
  readonly routeCount: () => number
  /** Deleted models that are not gone yet: what is being removed at this moment. */
  readonly modelsBeingRemoved: () => ReadonlySet<string>
  /** What this replica's agent shall have loaded. */
  readonly desiredFor: (replica: ReplicaKey) => readonly DesiredModelVersion[]
  /** Names of the models with a desired copy on this replica. */
  readonly modelsOn: (replica: ReplicaKey) => ReadonlySet<string>
  readonly observedOn: (replica: ReplicaKey) => ReadonlyMap<InternalName, ObservedDocument>
  /** Models whose next step waits for Envoy's ACK: reconcile them when a node advances. */
  readonly awaitingAck: () => ReadonlySet<string>
  /** The same of pipelines. */
  readonly pipelinesAwaitingAck: () => ReadonlySet<DependentKey>
  /** Pipelines that wait for what gateways say. */
  readonly pendingPipelines: () => ReadonlySet<DependentKey>
  /** Models that want more replicas than they were given: reconcile them when capacity appears. */
  readonly unplaced: () => ReadonlySet<string>
  /** Models that serve and load somewhere else at the same time; the move budget counts them. */
  readonly movesInProgress: () => number
  /** Above every version of this model name that agents still report, for `applyModel` of a new record. */
  readonly lowestFreeVersion: (model: string) => number
  /** Models to reconcile because of this change (already applied). */
  readonly affectedModels: (change: DocumentChange) => ReadonlySet<string>
  /** Experiments whose next step waits for Envoy's ACK. */
  readonly experimentsAwaitingAck: () => ReadonlySet<DependentKey>
  /** Pipelines and experiments to reconcile because of this change (already applied). */
  readonly affectedDependents: (change: DocumentChange) => ReadonlySet<DependentKey>
}

/** Starts from what the store holds; costs all of it, once. */
export function createClusterState(snapshot?: Omit<StoreSnapshot, 'revision' | 'storeId'>): ClusterState {
  const models = new Map<string, ModelDocument>()
  const servers = new Map<string, ServerDocument>()
  const replicas = new Map<ReplicaKey, ReplicaDocument>()
  const pipelines = new Map<string, PipelineDocument>()
  const experiments = new Map<string, ExperimentDocument>()
  const gateways = new Map<string, GatewayDocument>()
  const dependents = createDependents()
  const replicasByServer = createGroups<string, ReplicaKey>()
  const modelsByReplica = createGroups<ReplicaKey, string>()
  const facts = {
    awaitingAck: new Set<string>(),
    awaitingTableAck: new Set<DependentKey>(),
    unplaced: new Set<string>(),
    moving: new Set<string>(),
    removed: new Set<string>(),
  }
  let routeCount = 0
  const observed = createObservedIndex()
  const replicaSets: ReplicaSets = createReplicaSets()
  const reservations = createReservations({ model: (name) => models.get(name), observed })

  function applyModel(name: string, after: ModelDocument | undefined): DocumentChange {
    const before = models.get(name)
    if (after === undefined) models.delete(name)
    else models.set(name, after)
    const touched = new Set([...copiesOf(before), ...copiesOf(after)])
    for (const { replica } of touched) modelsByReplica.remove(replica, name)
    for (const { replica } of copiesOf(after)) modelsByReplica.add(replica, name)
    for (const { replica, internalName } of touched) reservations.refresh(replica, internalName)
    for (const version of before?.versions ?? []) replicaSets.release(version.assigned)
    for (const version of after?.versions ?? []) replicaSets.take(version.assigned)
    routeCount += Number(after?.route !== undefined) - Number(before?.route !== undefined)
    mark(facts.awaitingAck, name, after !== undefined && isAwaitingAck(after))
    mark(facts.unplaced, name, after !== undefined && isUnplaced(after))
    mark(facts.removed, name, after?.deleted === true)
    mark(facts.moving, name, after !== undefined && isMoving(after))
    return { kind: 'model', name, before, after }
  }

  function applyServer(name: string, after: ServerDocument | undefined): DocumentChange {
    const before = servers.get(name)
    if (after === undefined) servers.delete(name)
    else servers.set(name, after)
    return { kind: 'server', name, before, after }
  }

  function applyPipeline(name: string, after: PipelineDocument | undefined): DocumentChange {
    const before = pipelines.get(name)
    if (after === undefined) pipelines.delete(name)
    else pipelines.set(name, after)
    dependents.followPipeline(before, after)
    return { kind: 'pipeline', name, before, after }
  }

  function applyExperiment(name: string, after: ExperimentDocument | undefined): DocumentChange {
    const before = experiments.get(name)
    if (after === undefined) experiments.delete(name)
    else experiments.set(name, after)
    dependents.followExperiment(before, after)
    mark(facts.awaitingTableAck, `experiment/${name}`, after !== undefined && isAwaitingTableAck(after))
    return { kind: 'experiment', name, before, after }
  }

  function applyGateway(name: string, after: GatewayDocument | undefined): DocumentChange {
    const before = gateways.get(name)
    if (after === undefined) gateways.delete(name)
    else gateways.set(name, after)
    return { kind: 'gateway', name, before, after }
  }

  function applyReplica(name: ReplicaKey, after: ReplicaDocument | undefined): DocumentChange {
    const before = replicas.get(name)
    if (before !== undefined) replicasByServer.remove(before.server, name)
    if (after === undefined) replicas.delete(name)
    else {
      replicas.set(name, after)
      replicasByServer.add(after.server, name)
    }
    return { kind: 'replica', name, before, after }
  }

  function applyObserved(replica: ReplicaKey, name: InternalName, after: ObservedDocument | undefined): DocumentChange {
    const before = observed.put(replica, name, after)
    if (before?.artifactBytes === after?.artifactBytes) reservations.refresh(replica, name)
    else reservations.refreshAll(name) // the artefact's size is what every copy is expected to take
    return { kind: 'observed', replica, name, before, after }
  }

  function apply(write: Write): DocumentChange | undefined {
    switch (write.kind) {
      case 'model':
        return applyModel(write.name, write.document)
      case 'server':
        return applyServer(write.name, write.document)
      case 'replica':
        return applyReplica(write.name, write.document)
      case 'pipeline':
        return applyPipeline(write.name, write.document)
      case 'experiment':
        return applyExperiment(write.name, write.document)
      case 'gateway':
        return applyGateway(write.name, write.document)
      case 'observed':
        return applyObserved(write.replica, write.name, write.document)
      case 'event':
        return undefined
    }
  }

  function affectedModels(change: DocumentChange): ReadonlySet<string> {
    switch (change.kind) {
      case 'model': {
        const freed = change.before !== undefined && copiesOf(change.after).length < copiesOf(change.before).length
        return new Set([change.name, ...(freed ? facts.unplaced : [])])
      }
      case 'observed': {
        const freed = change.after === undefined || change.after.state === 'Unloaded'
        return new Set([parseInternalName(change.name).model, ...(freed ? facts.unplaced : [])])
      }
      case 'replica': {
        const offers = change.after !== undefined && takesNewCopies(change.after)
        return new Set([...modelsByReplica.get(change.name), ...(offers ? facts.unplaced : [])])
      }
      case 'server':
        return new Set([
          ...[...replicasByServer.get(change.name)].flatMap((key) => [...modelsByReplica.get(key)]),
          ...facts.unplaced,
        ])
      case 'pipeline':
      case 'gateway':
        return new Set()
      case 'experiment': // what is not sent to any more may go
        return new Set(modelsSentTo(change.before).filter((name) => !modelsSentTo(change.after).includes(name)))
    }
  }

  const state: ClusterState = {
    apply,
    model: (name) => models.get(name),
    server: (name) => servers.get(name),
    pipeline: (name) => pipelines.get(name),
    experiment: (name) => experiments.get(name),
    gateway: (name) => gateways.get(name),
    dependentsOf: dependents.of,
    replica: (key) => replicas.get(key),
    serverNames: () => [...new Set([...servers.keys(), ...replicasByServer.keys()])].toSorted(),
    replicasOf: (server) =>
      [...replicasByServer.get(server)].toSorted(compareReplicaKeys).flatMap((key) => replicas.get(key) ?? []),
    observed: observed.get,
    observedReplicas: observed.replicasWith,
    observedOn: observed.on,
    reservedBytes: reservations.total,
    isReserved: reservations.has,
    memoryBytesOf: (model, version) => reservations.memoryBytesOf(toInternalName(model, version)),
    copiesOn: (replica) => modelsByReplica.get(replica).size,
    replicaSets: replicaSets.ofServer,
    models: () => models.values(),
    pipelines: () => pipelines.values(),
    experiments: () => experiments.values(),
    gateways: () => gateways.values(),
    replicas: () => replicas.values(),
    modelCount: () => models.size,
    pipelineCount: () => pipelines.size,
    routeCount: () => routeCount,
    modelsBeingRemoved: () => facts.removed,
    desiredFor: (replica) =>
      [...modelsByReplica.get(replica)].flatMap((name) => {
        const model = models.get(name)
        return (model?.versions ?? [])
          .filter((version) => model !== undefined && desiredReplicas(version).includes(replica))
          .flatMap((version) => (model === undefined ? [] : toDesired(model, version, replica)))
      }),
    modelsOn: (replica) => modelsByReplica.get(replica),
    awaitingAck: () => facts.awaitingAck,
    pipelinesAwaitingAck: dependents.awaitingAck,
    pendingPipelines: dependents.pending,
    unplaced: () => facts.unplaced,
    movesInProgress: () => facts.moving.size,
    lowestFreeVersion: (model) => observed.highestVersion(model) + 1,
    affectedModels,
    experimentsAwaitingAck: () => facts.awaitingTableAck,
    affectedDependents: dependents.affectedBy,
  }
  for (const server of snapshot?.servers ?? []) applyServer(server.name, server)
  for (const replica of snapshot?.replicas ?? []) applyReplica(replica.key, replica)
  for (const entry of snapshot?.observed ?? []) observed.put(entry.replica, entry.document.internalName, entry.document)
  for (const model of snapshot?.models ?? []) applyModel(model.name, model)
  for (const pipeline of snapshot?.pipelines ?? []) applyPipeline(pipeline.name, pipeline)
  for (const gateway of snapshot?.gateways ?? []) applyGateway(gateway.name, gateway)
  for (const experiment of snapshot?.experiments ?? []) applyExperiment(experiment.name, experiment)
  for (const entry of snapshot?.observed ?? []) reservations.refresh(entry.replica, entry.document.internalName)
  return state
}

function mark<Name extends string>(set: Set<Name>, name: Name, member: boolean): void {
  if (member) set.add(name)
  else set.delete(name)
}

function copiesOf(
  model: ModelDocument | undefined,
): readonly { readonly replica: ReplicaKey; readonly internalName: InternalName }[] {
  if (model === undefined) return []
  return model.versions.flatMap((version) =>
    desiredReplicas(version).map((replica) => ({
      replica,
      internalName: toInternalName(model.name, version.version),
    })),
  )
}
