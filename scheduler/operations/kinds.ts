/** What the administration API needs to know of each kind of resource. */
import { KINDS, type Kind, KNOWN_KINDS } from '../../api/resources/resource.ts'
import type { StoredResource } from '../../api/resources/status.ts'
import { type ErrorCode, ServingError } from '../../kit/errors.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import { parseInternalName, parseReplicaKey } from '../domain/names.ts'
import type { Plan } from '../loop/writer.ts'
import { planDeleteModel, planDeleteServer, refuseMassPipelineRemoval, refuseMassRemoval } from './changes.ts'
import { planDeleteExperiment, planDeletePipeline } from './dependent-changes.ts'
import { toExperimentResource, toPipelineResource } from './dependent-resources.ts'
import { labelsOfServer, toModelResource, toServerResource } from './resources.ts'

export interface KindAccess {
  /** Its documents, and what its events are kept under. */
  readonly noun: 'model' | 'server' | 'pipeline' | 'experiment'
  readonly notFound: ErrorCode
  readonly find: (name: string) => StoredResource | undefined
  /** Sorted. */
  readonly names: () => readonly string[]
  readonly labels: (name: string) => Readonly<Record<string, string>>
  readonly planDelete: (state: ClusterState, name: string, force: boolean) => Plan<undefined>
  /** The resource as it was before this change of it. */
  readonly before: (change: DocumentChange) => StoredResource | undefined
}

export interface KindsDeps {
  readonly cluster: ClusterState
  /** What is said of a server while its replicas are waited for. */
  readonly awaitedOf: (server: string) => string | undefined
  readonly now: () => number
}

export function accessKinds({ cluster, awaitedOf, now }: KindsDeps): Readonly<Record<Kind, KindAccess>> {
  return {
    Model: {
      noun: 'model',
      notFound: 'MODEL_NOT_FOUND',
      find: (name) => mapped(cluster.model(name), (model) => toModelResource(model, cluster)),
      names: () => namesOf(cluster.models()),
      labels: (name) => cluster.model(name)?.labels ?? {},
      planDelete: (state, name, force) => {
        if (!force) refuseMassRemoval(state, name)
        return planDeleteModel(state, name, now())
      },
      before: (change) =>
        change.kind === 'model' ? mapped(change.before, (model) => toModelResource(model, cluster)) : undefined,
    },
    Server: {
      noun: 'server',
      notFound: 'SERVER_NOT_FOUND',
      find: (name) => toServerResource(name, cluster, awaitedOf(name)),
      names: cluster.serverNames,
      labels: (name) => labelsOfServer(cluster.server(name)),
      planDelete: planDeleteServer,
      before: () => undefined,
    },
    Pipeline: {
      noun: 'pipeline',
      notFound: 'PIPELINE_NOT_FOUND',
      find: (name) => mapped(cluster.pipeline(name), toPipelineResource),
      names: () => namesOf(cluster.pipelines()),
      labels: (name) => cluster.pipeline(name)?.labels ?? {},
      planDelete: (state, name, force) => {
        if (!force) refuseMassPipelineRemoval(state, name)
        return planDeletePipeline(state, name, now())
      },
      before: (change) => (change.kind === 'pipeline' ? mapped(change.before, toPipelineResource) : undefined),
    },
    Experiment: {
      noun: 'experiment',
      notFound: 'EXPERIMENT_NOT_FOUND',
      find: (name) => mapped(cluster.experiment(name), toExperimentResource),
      names: () => namesOf(cluster.experiments()),
      labels: (name) => cluster.experiment(name)?.labels ?? {},
      planDelete: (state, name) => planDeleteExperiment(state, name, now()),
      before: (change) => (change.kind === 'experiment' ? mapped(change.before, toExperimentResource) : undefined),
    },
  }
}

/** @throws ServingError REQUEST_INVALID */
export function parseKind(kind: string): Kind {
  const known = KINDS.find((candidate) => candidate === kind)
  if (known !== undefined) return known
  throw new ServingError('REQUEST_INVALID', `kind ${JSON.stringify(kind)} is not known: use ${KNOWN_KINDS}`)
}

/** Of a kind, what a change concerns. */
export function namesIn(kind: Kind, change: DocumentChange): readonly string[] {
  switch (change.kind) {
    case 'model':
      return kind === 'Model' ? [change.name] : []
    case 'server':
      return kind === 'Server' ? [change.name] : []
    case 'pipeline':
      return kind === 'Pipeline' ? [change.name] : []
    case 'experiment':
      return kind === 'Experiment' ? [change.name] : []
    case 'replica':
      return kind === 'Server' ? [parseReplicaKey(change.name).server] : []
    case 'gateway':
      return []
    case 'observed':
      if (kind === 'Model') return [parseInternalName(change.name).model]
      return kind === 'Server' ? [parseReplicaKey(change.replica).server] : []
  }
}

const namesOf = (documents: Iterable<{ readonly name: string }>): readonly string[] =>
  [...documents].map(({ name }) => name).toSorted()

const mapped = <From, To>(from: From | undefined, convert: (from: From) => To): To | undefined =>
  from === undefined ? undefined : convert(from)
