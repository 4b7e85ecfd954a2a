/** What a gateway was told of one pipeline, what it should be told, and the messages in between. Pure. */
import type { SchedulerMessage } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import type { PipelineDocument } from '../domain/documents.ts'
import type { UnloadStep } from '../domain/pipeline/gateways-view.ts'
import { heldVersions, servingPipelineVersion, wantedPipelineVersion } from '../domain/pipeline/facts.ts'

export interface Told {
  /** Versions by uid that it was told to hold, or that it said it holds. */
  readonly held: ReadonlyMap<string, number>
  /** The uid of the version that it runs. */
  readonly serving?: string
  /** What it was told last of a deleted pipeline. */
  readonly leaving?: UnloadStep
}

export const TOLD_NOTHING: Told = { held: new Map() }

export interface Telling {
  readonly messages: readonly SchedulerMessage[]
  readonly told: Told
  /** The uids that it is asked to load. */
  readonly asked: readonly string[]
  /** The uids that it shall not hold any more. */
  readonly gone: readonly string[]
  /** The versions of a deleted pipeline that it is asked to unload for good, and how far that goes. */
  readonly unloads: readonly number[]
  readonly step: UnloadStep
}

/** What serves is said after it was loaded, and before what served is unloaded: a gateway is never without one (I4). */
export function tell(before: Told, pipeline: PipelineDocument): Telling {
  const wanted = heldVersions(pipeline)
  const serving = pipeline.unloading === true ? undefined : servingPipelineVersion(pipeline)
  const loads = wanted.filter(({ uid }) => !before.held.has(uid))
  const unloads = unloadsOf(before, pipeline)
  const { name } = pipeline
  const leaving = leavingOf(pipeline)
  const keepTopics = leaving !== 'clean'
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
    ...(leaving === undefined ? {} : { leaving }),
  }
  const isForGood = leaving !== undefined && leaving !== before.leaving
  const gone = [...before.held.keys()].filter((uid) => !told.held.has(uid))
  return {
    messages,
    told,
    asked: loads.map(({ uid }) => uid),
    gone,
    unloads: isForGood ? unloads : [],
    step: leaving ?? 'unload',
  }
}

/** A version whose number is wanted again, with another uid, is replaced by its load. */
function unloadsOf(before: Told, pipeline: PipelineDocument): readonly number[] {
  const wanted = heldVersions(pipeline)
  const gone = [...before.held].filter(
    ([uid, version]) => !wanted.some((one) => one.uid === uid || one.version === version),
  )
  if (gone.length > 0) return gone.map(([, version]) => version)
  // Each answers for itself, whether or not it holds the pipeline.
  const leaving = leavingOf(pipeline)
  return leaving !== undefined && leaving !== before.leaving ? [wantedPipelineVersion(pipeline).version] : []
}

/** What a deleted pipeline asks of gateways at this moment. */
function leavingOf({ unloading, cleaning }: PipelineDocument): UnloadStep | undefined {
  if (unloading !== true) return undefined
  return cleaning === true ? 'clean' : 'unload'
}
