/** What a gateway was told of one pipeline, what it should be told, and the messages in between. Pure. */
import type { SchedulerMessage } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import type { PipelineDocument } from '../domain/documents.ts'
import { heldVersions, servingPipelineVersion, wantedPipelineVersion } from '../domain/pipeline/facts.ts'

export interface Told {
  /** Versions by uid that it was told to hold, or that it said it holds. */
  readonly held: ReadonlyMap<string, number>
  /** The uid of the version that it runs. */
  readonly serving?: string
  /** It was told to unload a deleted pipeline for good. */
  readonly unloading: boolean
}

export const TOLD_NOTHING: Told = { held: new Map(), unloading: false }

export interface Telling {
  readonly messages: readonly SchedulerMessage[]
  readonly told: Told
  /** The uids that it is asked to load. */
  readonly asked: readonly string[]
  /** The uids that it shall not hold any more. */
  readonly gone: readonly string[]
  /** The versions of a deleted pipeline that it is asked to unload for good. */
  readonly unloads: readonly number[]
}

/** What serves is said after it was loaded, and before what served is unloaded: a gateway is never without one (I4). */
export function tell(before: Told, pipeline: PipelineDocument): Telling {
  const wanted = heldVersions(pipeline)
  const serving = pipeline.unloading === true ? undefined : servingPipelineVersion(pipeline)
  const loads = wanted.filter(({ uid }) => !before.held.has(uid))
  const unloads = unloadsOf(before, pipeline)
  const { name } = pipeline
  const keepTopics = pipeline.unloading !== true || !cleansTopics(pipeline)
  const messages: SchedulerMessage[] = [
    ...loads.map(({ version, uid, spec }) => ({
      load: { pipeline: name, version, uid, specJson: JSON.stringify(spec) },
    })),
    ...(serving === undefined || serving.uid === before.serving
      ? []
      : [{ serve: { pipeline: name, version: serving.version, uid: serving.uid } }]),
    ...unloads.map((version) => ({ unload: { pipeline: name, version, keepTopics } })),
  ]
  const told: Told = {
    held: new Map(wanted.map(({ uid, version }) => [uid, version])),
    ...(serving === undefined ? {} : { serving: serving.uid }),
    unloading: pipeline.unloading === true,
  }
  const isForGood = pipeline.unloading === true && !before.unloading
  const gone = [...before.held.keys()].filter((uid) => !told.held.has(uid))
  return { messages, told, asked: loads.map(({ uid }) => uid), gone, unloads: isForGood ? unloads : [] }
}

/** A version whose number is wanted again, with another uid, is replaced by its load. */
function unloadsOf(before: Told, pipeline: PipelineDocument): readonly number[] {
  const wanted = heldVersions(pipeline)
  const gone = [...before.held].filter(
    ([uid, version]) => !wanted.some((one) => one.uid === uid || one.version === version),
  )
  if (gone.length > 0) return gone.map(([, version]) => version)
  // Topics may have to be deleted, whether or not it holds the pipeline.
  return pipeline.unloading === true && !before.unloading ? [wantedPipelineVersion(pipeline).version] : []
}

const cleansTopics = (pipeline: PipelineDocument): boolean =>
  wantedPipelineVersion(pipeline).spec.dataflow?.cleanTopicsOnDelete === true
