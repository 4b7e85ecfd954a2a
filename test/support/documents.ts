/** Small valid documents for tests. */
import {
  type ExperimentDocument,
  type ModelDocument,
  type PipelineDocument,
  SCHEMA_VERSION,
  type ServerDocument,
} from '../../scheduler/domain/documents.ts'
import type { Write } from '../../scheduler/domain/store.ts'

export function aModel(name: string, storageUri = '/models/iris'): ModelDocument {
  const spec = { storageUri, requirements: [], parameters: {} }
  return {
    schemaVersion: SCHEMA_VERSION,
    revision: 0,
    name,
    deployment: {
      replicas: 1,
      minReplicas: 0,
      maxReplicas: 0,
      logPayloads: false,
      cleanTopicsOnDelete: false,
      timeoutMs: 0,
    },
    labels: {},
    deleted: false,
    versions: [{ version: 1, spec, assigned: [], attempts: {}, leaving: {} }],
    history: [],
    status: { state: 'ModelProgressing', reason: '', availableReplicas: 0, unavailableReplicas: 0, changedAtMs: 0 },
  }
}

export function aServer(name: string): ServerDocument {
  return {
    schemaVersion: SCHEMA_VERSION,
    revision: 0,
    name,
    expectedReplicas: 1,
    minReplicas: 0,
    maxReplicas: 0,
    shared: true,
  }
}

export function aPipeline(name: string, ...models: readonly string[]): PipelineDocument {
  const spec = { steps: models.map((model) => ({ name: model })) }
  return {
    schemaVersion: SCHEMA_VERSION,
    revision: 0,
    name,
    labels: {},
    deleted: false,
    versions: [{ version: 1, uid: `${name}-uid`, spec, atMs: 0 }],
    status: { state: 'PipelineCreate', reason: '', missingModels: [], changedAtMs: 0 },
  }
}

export function anExperiment(name: string, ...candidates: readonly string[]): ExperimentDocument {
  return {
    schemaVersion: SCHEMA_VERSION,
    revision: 0,
    name,
    labels: {},
    deleted: false,
    spec: { candidates: candidates.map((candidate) => ({ name: candidate, weight: 1 })) },
    createdAtMs: 0,
    status: { active: false, reason: '', candidates: [], changedAtMs: 0 },
  }
}

/** A write of a model as it was read: its own revision is expected. */
export const writeModel = (document: ModelDocument): Write => ({
  kind: 'model',
  name: document.name,
  expectedRevision: document.revision,
  document,
})
