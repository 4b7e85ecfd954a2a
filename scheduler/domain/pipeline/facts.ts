/** Small questions about one pipeline document, asked in several places. */
import { NEXT_COMMIT, type PipelineDocument, type PipelineVersionDocument } from '../documents.ts'

/** What users want: the last version. A record always has one. */
export function wantedPipelineVersion(pipeline: PipelineDocument): PipelineVersionDocument {
  const version = pipeline.versions.at(-1)
  if (version === undefined) throw new RangeError(`pipeline ${pipeline.name} has no version`)
  return version
}

/** The version that answers. */
export function servingPipelineVersion(pipeline: PipelineDocument): PipelineVersionDocument | undefined {
  return pipeline.versions.find((version) => version.version === pipeline.serving)
}

/** The versions that gateways shall hold: the one that answers and the one that shall; none once it is to be unloaded. */
export function heldVersions(pipeline: PipelineDocument): readonly PipelineVersionDocument[] {
  if (pipeline.unloading === true) return []
  const serving = servingPipelineVersion(pipeline)
  const wanted = pipeline.deleted ? serving : wantedPipelineVersion(pipeline)
  return [...new Set([serving, wanted])].filter((version) => version !== undefined)
}

/** Whether its topics go with it. */
export const cleansTopics = (pipeline: PipelineDocument): boolean =>
  wantedPipelineVersion(pipeline).spec.dataflow?.cleanTopicsOnDelete === true

/** Whether every edge of it goes through Kafka: engines and model gateways run it. */
export const isOverTopics = ({ spec }: PipelineVersionDocument): boolean => spec.dataflow?.execution === 'topics'

/** Models that the steps of a version call, each once, sorted. */
export const modelsOf = ({ spec }: PipelineVersionDocument): readonly string[] =>
  [...new Set(spec.steps.map(({ name }) => name))].toSorted()

/** Other pipelines that a version takes from, each once, sorted. */
export const externalPipelines = (version: PipelineVersionDocument): readonly string[] =>
  [...new Set(allExternal(version).map(ownerOf))].toSorted()

/** What a version takes of one of them, as it is written. */
export const externalReferences = (version: PipelineVersionDocument, name: string): readonly string[] =>
  allExternal(version).filter((text) => ownerOf(text) === name)

const allExternal = ({ spec: { input } }: PipelineVersionDocument): readonly string[] => [
  ...(input?.externalInputs ?? []),
  ...(input?.externalTriggers ?? []),
]
const ownerOf = (text: string): string => text.split('.')[0] ?? text

/** Replaces NEXT_COMMIT by the revision that the store gave; the first step of every change, or it would move on. */
export function settlePipeline(pipeline: PipelineDocument): PipelineDocument {
  const { route, leaving, revision } = pipeline
  const settled = <T extends { readonly sinceRevision: number }>(entry: T): T =>
    entry.sinceRevision === NEXT_COMMIT ? { ...entry, sinceRevision: revision } : entry
  return {
    ...pipeline,
    ...(route === undefined ? {} : { route: settled(route) }),
    ...(leaving === undefined ? {} : { leaving: settled(leaving) }),
  }
}

/** Whether an ACK would let this pipeline go on. */
export const isPipelineAwaitingAck = ({ route, leaving }: PipelineDocument): boolean =>
  (route !== undefined && route.ackedAtMs === undefined) || leaving?.unloadAtMs === 0

/** Whether what gateways say, or a gateway that comes, may change this record. */
export const isPipelinePending = (pipeline: PipelineDocument): boolean =>
  pipeline.deleted ||
  pipeline.serving !== wantedPipelineVersion(pipeline).version ||
  pipeline.status.state !== 'PipelineReady'
