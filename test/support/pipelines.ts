/** Pipelines and gateways as documents, and a control plane of pipelines in memory, for tests. */
import {
  type GatewayDocument,
  type PipelineDocument,
  type PipelineVersionDocument,
  SCHEMA_VERSION,
} from '../../scheduler/domain/documents.ts'
import type {
  EnginesView,
  GatewaysView,
  ModelGatewaysView,
  PipelineContext,
  Said,
} from '../../scheduler/domain/pipeline/gateways-view.ts'

export const aPipelineVersion = (version: number, ...models: readonly string[]): PipelineVersionDocument => ({
  version,
  uid: `uid-${String(version)}`,
  spec: { steps: models.map((name) => ({ name })) },
  atMs: 0,
})

export const pipelineWith = (name: string, fields: Partial<PipelineDocument> = {}): PipelineDocument => ({
  schemaVersion: SCHEMA_VERSION,
  revision: 0,
  name,
  labels: {},
  deleted: false,
  versions: [aPipelineVersion(1)],
  status: { state: 'PipelineCreate', reason: '', missingModels: [], changedAtMs: 0 },
  ...fields,
})

export const aGateway = (name: string, fields: Partial<GatewayDocument> = {}): GatewayDocument => ({
  schemaVersion: SCHEMA_VERSION,
  revision: 0,
  name,
  address: '127.0.0.1',
  restPort: 9_011,
  grpcPort: 9_012,
  hasJournal: false,
  stream: { kind: 'connected' },
  ready: true,
  draining: false,
  ...fields,
})

/** Gateways that said what a test says, by gateway and uid. */
export function gatewaysThat(said: Readonly<Record<string, Readonly<Record<string, Said>>>>): GatewaysView {
  return {
    needed: () => Object.keys(said).toSorted(),
    said: (gateway, uid) => said[gateway]?.[uid] ?? { kind: 'nothing' },
    unloads: () => [],
    journal: () => 'none',
  }
}

export const NO_ENGINES: EnginesView = {
  areHere: () => false,
  readerOf: () => undefined,
  said: () => ({ kind: 'nothing' }),
}
export const NO_MODEL_GATEWAYS: ModelGatewaysView = { areHere: () => false, readerOf: () => undefined }

export const LOADED: Said = { kind: 'loaded' }
export const failedFor = (reason: string, retrying = true): Said => ({ kind: 'failed', reason, retrying })

export const pipelineContext = (fields: Partial<PipelineContext> = {}): PipelineContext => ({
  nowMs: 1_000,
  isAcked: () => true,
  drainTimeMs: 100,
  noNodeDrainTimeMs: 5_000,
  gateways: gatewaysThat({}),
  engines: NO_ENGINES,
  modelGateways: NO_MODEL_GATEWAYS,
  ...fields,
})
