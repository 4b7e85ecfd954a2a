/** What engines and model gateways differ in: what their units are, and which plans they need for them. */
import type { ClusterState } from '../domain/cluster.ts'
import type { PipelineDocument } from '../domain/documents.ts'
import { externalPipelines, heldVersions, servingPipelineVersion } from '../domain/pipeline/facts.ts'
import { isModelAnswering } from '../domain/pipeline/status.ts'

export interface WorkerRole {
  readonly name: 'engine' | 'model-gateway'
  readonly unitKind: 'PIPELINE' | 'MODEL'
  /** Documents of this kind decide whether somebody shall read a unit. */
  readonly follows: 'pipeline' | 'model'
  /** Everything that may be a unit. */
  readonly names: () => readonly string[]
  /** Whether somebody shall read it now. */
  readonly isUnit: (name: string) => boolean
  /** Whose plans a unit needs: a pipeline's own, and those that it takes from. */
  readonly pipelinesOf: (unit: string) => readonly string[]
  /** The same of a document as it is, or was. */
  readonly plansIn: (document: PipelineDocument | undefined) => readonly string[]
  /** The pipeline as one that owns these units shall hold it; undefined: it needs no plan of it. */
  readonly planFor: (pipeline: string, owns: (unit: string) => boolean) => PipelineDocument | undefined
}

export function engineRole(cluster: ClusterState): WorkerRole {
  const plansIn = (document: PipelineDocument | undefined): readonly string[] =>
    document === undefined ? [] : [document.name, ...heldVersions(document).flatMap(externalPipelines)]
  const isNeeded = (pipeline: string, owns: (unit: string) => boolean): boolean =>
    owns(pipeline) ||
    [...cluster.dependentsOf('pipeline', pipeline)].some(
      (key) => key.startsWith('pipeline/') && owns(key.slice('pipeline/'.length)),
    )
  return {
    name: 'engine',
    unitKind: 'PIPELINE',
    follows: 'pipeline',
    names: () => [...cluster.pipelines()].map(({ name }) => name),
    isUnit: (name) => {
      const pipeline = cluster.pipeline(name)
      const serving = pipeline === undefined || pipeline.deleted ? undefined : servingPipelineVersion(pipeline)
      return serving !== undefined && serving.spec.dataflow?.record !== 'none' // else it has no topics
    },
    pipelinesOf: (unit) => [unit, ...plansIn(cluster.pipeline(unit))],
    plansIn,
    planFor: (name, owns) => {
      const pipeline = isNeeded(name, owns) ? cluster.pipeline(name) : undefined
      if (pipeline === undefined) return undefined
      const { unloading: _, ...plan } = pipeline // its topics are a pipeline gateway's to delete
      return plan
    },
  }
}

export const modelGatewayRole = (cluster: ClusterState): WorkerRole => ({
  name: 'model-gateway',
  unitKind: 'MODEL',
  follows: 'model',
  names: () => [...cluster.models()].map(({ name }) => name),
  isUnit: (name) => isModelAnswering(cluster.model(name)), // records of one that is away wait
  pipelinesOf: () => [],
  plansIn: () => [],
  planFor: () => undefined,
})
