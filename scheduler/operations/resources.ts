/** Documents as the resources that people read and write: apiVersion, kind, metadata, spec, status. Pure. */
import { API_VERSION } from '../../api/resources/metadata.ts'
import { memoryBytesOf, requirementsOf } from '../../api/resources/model.ts'
import type { ModelResource, ServerResource } from '../../api/resources/resource.ts'
import type { Condition, ModelStatus, ServerStatus, StoredModel, StoredServer } from '../../api/resources/status.ts'
import { UNLIMITED_REPLICAS } from '../../api/resources/rules.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { KubernetesMeta, ModelDocument, ServerDocument, VersionDocument } from '../domain/documents.ts'
import { wantedReplicas, wantedVersion } from '../domain/model-facts.ts'
import { toReplicaStatuses } from '../domain/replica-state.ts'
import { toServerStatus } from '../domain/server-status.ts'
import type { ModelDraft, ServerDraft } from '../domain/validate.ts'
import { toVersionState } from './version-state.ts'

/** As Kubernetes has it. */
const DEFAULT_ROLLING_UPDATE = { maxSurge: '25%', maxUnavailable: '25%' } as const

/** A checked manifest as the domain takes it; `kubernetesMeta` carries the generation that this change gets. */
export function toModelDraft(resource: ModelResource, kubernetesMeta: KubernetesMeta): ModelDraft {
  const { metadata, spec } = resource
  const memoryBytes = memoryBytesOf(spec)
  return {
    ...given(spec, [
      'storageUri',
      'artifactVersion',
      'secretName',
      'server',
      'parameters',
      'timeoutMs',
      'dataPath',
    ] as const),
    ...given(spec, ['replicas', 'minReplicas', 'maxReplicas', 'explainer', 'llm'] as const),
    name: metadata.name,
    storageUri: spec.storageUri,
    requirements: requirementsOf(spec),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    logPayloads: spec.logger !== undefined,
    cleanTopicsOnDelete: spec.dataflow?.cleanTopicsOnDelete ?? false,
    ...(spec.rollingUpdate === undefined
      ? {}
      : { rollingUpdate: { ...DEFAULT_ROLLING_UPDATE, ...spec.rollingUpdate } }),
    labels: metadata.labels ?? {},
    kubernetesMeta,
  }
}

export function toServerDraft(resource: ServerResource, kubernetesMeta: KubernetesMeta): ServerDraft {
  const { metadata, spec } = resource
  return {
    name: metadata.name,
    ...given(spec, ['replicas', 'minReplicas', 'maxReplicas'] as const),
    dataPath: spec.dataPath ?? 'direct',
    kubernetesMeta,
    manifest: { metadata: { labels: metadata.labels ?? {} }, spec },
  }
}

export function toModelResource(model: ModelDocument, cluster: ClusterState): StoredModel {
  const { spec } = wantedVersion(model)
  const { deployment } = model
  return {
    apiVersion: API_VERSION,
    kind: 'Model',
    metadata: toMetadata(model.name, wantedVersion(model).kubernetesMeta, model.labels),
    spec: {
      storageUri: spec.storageUri,
      ...given(spec, ['artifactVersion', 'secretName', 'server', 'explainer', 'llm'] as const),
      ...(spec.requirements.length === 0 ? {} : { requirements: [...spec.requirements] }),
      ...(spec.memoryBytes === undefined ? {} : { memory: spec.memoryBytes }),
      ...toParameters(spec.parameters),
      replicas: deployment.replicas,
      ...toBounds(deployment),
      ...(deployment.logPayloads ? { logger: {} } : {}),
      ...(deployment.cleanTopicsOnDelete ? { dataflow: { cleanTopicsOnDelete: true } } : {}),
      ...(deployment.timeoutMs === 0 ? {} : { timeoutMs: deployment.timeoutMs }),
      ...given(deployment, ['dataPath', 'rollingUpdate'] as const),
    },
    status: toModelStatus(model, cluster),
  }
}

function toModelStatus(model: ModelDocument, cluster: ClusterState): ModelStatus {
  const { status, route } = model
  const wanted = wantedVersion(model)
  const isReady = status.state === 'ModelAvailable'
  const generation = wanted.kubernetesMeta?.generation
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }), // reconciled in the commit that changed it
    state: status.state,
    reason: status.reason,
    ...(status.retrying === true ? { retrying: true } : {}),
    conditions: ['ModelReady', 'Ready'].map((type) => toCondition(type, isReady, status)),
    replicas: wantedReplicas(model),
    availableReplicas: status.availableReplicas,
    version: wanted.version,
    ...(route === undefined ? {} : { servingVersion: route.version, dataPath: route.dataPath ?? 'direct' }),
    ...(wanted.server === undefined ? {} : { server: wanted.server }),
    versions: model.versions.map((version) => toVersionStatus(model, version, cluster)),
    ...(wanted.unplaced === undefined ? {} : { placement: wanted.unplaced }),
    history: model.history.map(({ version, spec, atMs }) => ({
      version,
      storageUri: spec.storageUri,
      at: toIso(atMs),
    })),
  }
}

function toVersionStatus(model: ModelDocument, version: VersionDocument, cluster: ClusterState) {
  return {
    version: version.version,
    ...toVersionState(model, version),
    ...(version.server === undefined ? {} : { server: version.server }),
    memoryBytes: cluster.memoryBytesOf(model.name, version.version),
    replicas: toReplicaStatuses(model, version, cluster).map(({ replica, state, reason }) => ({
      replica,
      state,
      reason,
    })),
  }
}

/** Undefined when nobody knows this server. `awaited`: what is said of it while its replicas are waited for. */
export function toServerResource(name: string, cluster: ClusterState, awaited?: string): StoredServer | undefined {
  const known = toServerStatus(name, cluster)
  if (known === undefined) return undefined
  const document = cluster.server(name)
  return {
    apiVersion: API_VERSION,
    kind: 'Server',
    metadata: toMetadata(name, document?.kubernetesMeta, labelsOfServer(document)),
    spec: {
      ...manifestOf(document)?.spec,
      ...(document === undefined ? {} : { replicas: document.expectedReplicas, ...toBounds(document) }),
    },
    status: toServerResourceStatus(known, cluster, awaited),
  }
}

interface ServerManifest {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> }
  readonly spec?: object
}
const manifestOf = (document: ServerDocument | undefined) => document?.manifest as ServerManifest | undefined

export const labelsOfServer = (document: ServerDocument | undefined): Readonly<Record<string, string>> =>
  manifestOf(document)?.metadata?.labels ?? {}

function toServerResourceStatus(
  known: NonNullable<ReturnType<typeof toServerStatus>>,
  cluster: ClusterState,
  awaited: string | undefined,
): ServerStatus {
  const expected = known.expectedReplicas >= 0 ? known.expectedReplicas : known.replicas.length
  const isReady = awaited === undefined && known.availableReplicas >= expected
  const state = isReady ? 'ServerReady' : known.availableReplicas > 0 ? 'ServerProgressing' : 'ServerUnavailable'
  const waiting = awaited === undefined ? [] : [`nothing moves before its replicas are there: ${awaited}`]
  const reason = [known.reason, ...waiting].filter((part) => part !== '').join('; ')
  return {
    state,
    reason,
    conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False', reason: state, message: reason }],
    replicas: expected,
    availableReplicas: known.availableReplicas,
    loadedModels: known.numLoadedModelReplicas,
    replicaStatuses: cluster.replicasOf(known.server).map((replica, index) => ({
      replica: replica.key,
      address: replica.address,
      restPort: replica.restPort,
      grpcPort: replica.grpcPort,
      health: replica.health.kind,
      ...(replica.health.kind === 'down' ? { reason: replica.health.reason } : {}),
      agent: replica.agent.kind,
      draining: replica.draining,
      memoryBytes: replica.memoryBytes,
      availableMemoryBytes: known.replicas[index]?.availableMemoryBytes ?? 0,
      capabilities: replica.capabilities,
      loadedModels: known.replicas[index]?.numLoadedModels ?? 0,
    })),
  }
}

function toCondition(type: string, isReady: boolean, status: ModelDocument['status']): Condition {
  return {
    type,
    status: isReady ? 'True' : 'False',
    reason: status.state,
    message: status.reason,
    lastTransitionTime: toIso(status.changedAtMs),
  }
}

export function toMetadata(name: string, meta: KubernetesMeta | undefined, labels: Readonly<Record<string, string>>) {
  return {
    name,
    ...(meta === undefined || meta.namespace === '' ? {} : { namespace: meta.namespace }),
    ...(Object.keys(labels).length === 0 ? {} : { labels: { ...labels } }),
    ...(meta === undefined ? {} : { generation: meta.generation }),
  }
}

const toBounds = ({ minReplicas, maxReplicas }: { readonly minReplicas: number; readonly maxReplicas: number }) => ({
  ...(minReplicas === 0 ? {} : { minReplicas }),
  ...(maxReplicas === UNLIMITED_REPLICAS ? {} : { maxReplicas }),
})

function toParameters(parameters: Readonly<Record<string, string>>) {
  const entries = Object.entries(parameters).map(([name, value]) => ({ name, value }))
  return entries.length === 0 ? {} : { parameters: entries }
}

/** The named fields, without those that are absent. */
function given<From extends object, const Keys extends readonly (keyof From)[]>(from: From, keys: Keys) {
  const entries = keys.flatMap((key) => (from[key] === undefined ? [] : [[key, from[key]] as const]))
  return Object.fromEntries(entries) as { [Key in Keys[number]]: Exclude<From[Key], undefined> }
}

export const toIso = (ms: number): string => new Date(ms).toISOString()
