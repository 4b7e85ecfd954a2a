/** A control plane in memory for tests: documents, a clock, a commit counter, and what Envoy has ACKed. */
import { createClusterState, type ClusterState } from '../../scheduler/domain/cluster.ts'
import { atRevision, type DocumentChange } from '../../scheduler/domain/document-change.ts'
import {
  SCHEMA_VERSION,
  type InternalName,
  type ModelDocument,
  type ObservedDocument,
  type ReplicaDocument,
  type ReplicaKey,
  type ServerDocument,
} from '../../scheduler/domain/documents.ts'
import { applyModel, deleteModel } from '../../scheduler/domain/model-change.ts'
import { parseReplicaKey } from '../../scheduler/domain/names.ts'
import {
  DEFAULT_RETRY_POLICY,
  type ReconcileContext,
  type Reconciliation,
} from '../../scheduler/domain/reconcile/context.ts'
import { reconcileModel } from '../../scheduler/domain/reconcile/model.ts'
import type { Write } from '../../scheduler/domain/store.ts'
import { parseModelDraft, type ModelDraft } from '../../scheduler/domain/validate.ts'
import { place } from '../../scheduler/placement/place.ts'
import { gatewaysThat, NO_ENGINES, NO_MODEL_GATEWAYS } from './pipelines.ts'

export const DRAIN_MS = 2_000
export const GRACE_MS = 60_000
export const NO_NODE_DRAIN_MS = 30_000

export interface SchedulerScene {
  readonly cluster: ClusterState
  readonly clock: { nowMs: number }
  readonly envoy: { acked: number | 'no-node' }
  readonly revision: () => number
  readonly commit: (...writes: readonly Write[]) => readonly DocumentChange[]
  readonly addServer: (name: string, fields?: Partial<ServerDocument>) => void
  readonly addReplica: (key: ReplicaKey, fields?: Partial<ReplicaDocument>) => void
  readonly changeReplica: (key: ReplicaKey, fields: Partial<ReplicaDocument>) => void
  readonly report: (
    replica: ReplicaKey,
    name: InternalName,
    state: ObservedDocument['state'],
    fields?: Partial<ObservedDocument>,
  ) => void
  readonly apply: (draft: Partial<ModelDraft> & { readonly name: string }) => void
  readonly remove: (name: string) => void
  /** Reconciles once and commits the result. */
  readonly step: (name: string, context?: Partial<ReconcileContext>) => Reconciliation
  /** Reconciles until nothing changes. */
  readonly settle: (name: string, context?: Partial<ReconcileContext>) => ModelDocument
  readonly model: (name: string) => ModelDocument
  /** Agents load and unload what they are told; Envoy ACKs everything; until nothing changes. */
  readonly run: (name: string, context?: Partial<ReconcileContext>) => ModelDocument
}

export function aReplica(key: ReplicaKey, fields: Partial<ReplicaDocument> = {}): ReplicaDocument {
  return {
    schemaVersion: SCHEMA_VERSION,
    revision: 0,
    key,
    ...parseReplicaKey(key),
    address: '127.0.0.1',
    restPort: 9_100,
    grpcPort: 9_101,
    memoryBytes: 1_000,
    overcommitPercentage: 0,
    capabilities: ['onnx'],
    nameSource: 'header',
    agent: { kind: 'connected' },
    health: { kind: 'serving' },
    draining: false,
    ...fields,
  }
}

export function anObservation(
  internalName: InternalName,
  state: ObservedDocument['state'],
  fields: Partial<ObservedDocument> = {},
): ObservedDocument {
  return { internalName, state, reason: '', artifactBytes: 0, attempt: 0, atMs: 0, ...fields }
}

export function createSchedulerScene(): SchedulerScene {
  const cluster = createClusterState()
  const clock = { nowMs: 1_000_000 }
  const envoy: { acked: number | 'no-node' } = { acked: Number.MAX_SAFE_INTEGER }
  let revision = 0

  const commit = (...writes: readonly Write[]): readonly DocumentChange[] => {
    revision += 1
    return writes.flatMap((write) => cluster.apply(atRevision(write, revision)) ?? [])
  }
  const model = (name: string): ModelDocument => {
    const document = cluster.model(name)
    if (document === undefined) throw new Error(`no model ${name}`)
    return document
  }
  const putReplica = (document: ReplicaDocument): void => {
    commit({ kind: 'replica', name: document.key, expectedRevision: 0, document })
  }
  const context = (fields: Partial<ReconcileContext>): ReconcileContext => ({
    nowMs: clock.nowMs,
    isAcked: (since) => (envoy.acked === 'no-node' ? 'no-node' : envoy.acked >= since),
    heldNodes: () => [],
    drainTimeMs: DRAIN_MS,
    noNodeDrainTimeMs: NO_NODE_DRAIN_MS,
    replicaGraceMs: GRACE_MS,
    mayMove: () => true,
    moveBudget: () => true,
    retry: DEFAULT_RETRY_POLICY,
    place,
    gateways: gatewaysThat({}),
    engines: NO_ENGINES,
    modelGateways: NO_MODEL_GATEWAYS,
    ...fields,
  })
  const step = (name: string, fields: Partial<ReconcileContext> = {}): Reconciliation => {
    const result = reconcileModel(model(name), cluster, context(fields))
    if (result.document !== undefined)
      commit({ kind: 'model', name, expectedRevision: 0, document: result.remove ? undefined : result.document })
    return result
  }
  const settle = (name: string, fields: Partial<ReconcileContext> = {}): ModelDocument => {
    for (let round = 0; round < 20; round += 1) {
      const result = step(name, fields)
      if (result.document === undefined || result.remove) return result.document ?? model(name)
    }
    throw new Error(`model ${name} does not settle`)
  }
  const report: SchedulerScene['report'] = (replica, name, state, fields = {}) => {
    const document = anObservation(name, state, { atMs: clock.nowMs, ...fields })
    commit({ kind: 'observed', replica, name, document })
  }
  /** What agents would do with what they are told. */
  const obey = (): boolean => {
    let acted = false
    for (const { key, agent, health } of cluster.replicas()) {
      if (agent.kind === 'lost' || health.kind !== 'serving') continue
      const wanted = new Map(cluster.desiredFor(key).map((desired) => [desired.internalName, desired]))
      for (const [name, desired] of wanted)
        if (cluster.observed(key, name)?.state !== 'Loaded') {
          report(key, name, 'Loaded', { attempt: desired.attempt })
          acted = true
        }
      for (const name of cluster.observedOn(key).keys())
        if (!wanted.has(name)) {
          commit({ kind: 'observed', replica: key, name, document: undefined })
          acted = true
        }
    }
    return acted
  }

  return {
    cluster,
    clock,
    envoy,
    revision: () => revision,
    commit,
    addServer: (name, fields = {}) => {
      const document: ServerDocument = {
        schemaVersion: SCHEMA_VERSION,
        revision: 0,
        name,
        expectedReplicas: -1,
        minReplicas: 0,
        maxReplicas: 0,
        shared: true,
        ...fields,
      }
      commit({ kind: 'server', name, expectedRevision: 0, document })
    },
    addReplica: (key, fields = {}) => {
      putReplica(aReplica(key, fields))
    },
    changeReplica: (key, fields) => {
      putReplica({ ...(cluster.replica(key) ?? aReplica(key)), ...fields })
    },
    report,
    apply: (draft) => {
      const input = parseModelDraft({ storageUri: '/models/iris', ...draft })
      const change = applyModel(cluster.model(draft.name), input, clock.nowMs, cluster.lowestFreeVersion(draft.name))
      commit({ kind: 'model', name: draft.name, expectedRevision: 0, document: change.document })
    },
    remove: (name) => {
      commit({ kind: 'model', name, expectedRevision: 0, document: deleteModel(model(name), clock.nowMs) })
    },
    step,
    settle,
    model,
    run: (name, fields = {}) => {
      for (let round = 0; round < 50; round += 1) {
        const document = settle(name, fields)
        const wasGone = cluster.model(name) === undefined
        const acted = obey()
        if (wasGone) return document
        if (acted) continue
        const leaving = document.versions.flatMap((version) => Object.values(version.leaving))
        if (leaving.length === 0) return document
        clock.nowMs += DRAIN_MS
      }
      throw new Error(`model ${name} does not come to rest`)
    },
  }
}
