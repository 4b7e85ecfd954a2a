/**
 * The pipelines that this gateway can run, and which version of each serves. A plan is compiled once, when it comes. Requests
 * hold on to the plan they began with, so forgetting one here ends nothing.
 *
 * I9: a Synchronised from another store than the one that gave what is held drops nothing.
 */
import { Value } from 'typebox/value'
import { ServingError, toServingError } from '../../kit/errors.ts'
import { type PipelineSpec, PipelineSpecSchema } from '../../api/resources/pipeline.ts'
import type { Plan } from '../plan/plan.ts'
import type { JournalSettings } from '../runner/pipeline-request.ts'

export interface PlanSource {
  readonly pipeline: string
  readonly version: number
  readonly uid: string
  /** The Pipeline's spec as JSON. */
  readonly specJson: string
}

export interface HeldPlan extends PlanSource {
  readonly spec: PipelineSpec
  readonly plan: Plan
  readonly journal: JournalSettings
}

export type PlanName = Pick<PlanSource, 'pipeline' | 'version' | 'uid'>

/** What is written to the file of the last known plans. */
export interface PlansSnapshot {
  readonly storeId: string
  readonly plans: readonly PlanSource[]
  readonly serving: readonly PlanName[]
}

interface Pipeline {
  /** By version. */
  readonly versions: Map<number, HeldPlan>
  serving: PlanName | undefined
}

export type LoadOutcome =
  { readonly kind: 'loaded'; readonly held: HeldPlan } | { readonly kind: 'failed'; readonly reason: string }

export interface HeldPlans {
  readonly load: (source: PlanSource) => LoadOutcome
  readonly serve: (name: PlanName) => void
  /** What was held under that version; undefined: nothing. */
  readonly unload: (pipeline: string, version: number) => HeldPlan | undefined
  /** Drops what is not named and returns it. */
  readonly synchronise: (named: readonly PlanName[], storeId: string) => readonly HeldPlan[]
  /** The plan of new requests. */
  readonly serving: (pipeline: string) => HeldPlan | undefined
  readonly held: () => readonly HeldPlan[]
  /** Its topics are there: it may be called held, and be saved. */
  readonly complete: (held: HeldPlan) => void
  /** Those of `held` that are complete. */
  readonly completed: () => readonly HeldPlan[]
  /** For the scheduler: those that are complete, and who gave them. */
  readonly introduce: () => { readonly held: PlanName[]; readonly storeId: string }
  readonly snapshot: () => PlansSnapshot
}

export type Compile = (name: string, version: number, spec: PipelineSpec) => Plan

const isSame = (a: PlanName, b: PlanName): boolean =>
  a.pipeline === b.pipeline && a.version === b.version && a.uid === b.uid

export function createHeldPlans(compile: Compile, saved: PlansSnapshot): HeldPlans {
  const pipelines = new Map<string, Pipeline>()
  let { storeId } = saved
  /** Loaded on this connection or before it: in neither case to be dropped by a Synchronised of the same stream. */
  const fresh = new Set<HeldPlan>()
  const incomplete = new WeakSet<HeldPlan>()

  const load = (source: PlanSource): LoadOutcome => {
    const known = pipelines.get(source.pipeline)?.versions.get(source.version)
    if (known !== undefined && isSame(known, source) && known.specJson === source.specJson) {
      fresh.add(known)
      return { kind: 'loaded', held: known }
    }
    try {
      const spec = parseSpec(source)
      const held = {
        ...toSource(source),
        spec,
        journal: toJournalSettings(spec),
        plan: compile(source.pipeline, source.version, spec),
      }
      const pipeline = pipelines.get(source.pipeline) ?? { versions: new Map(), serving: undefined }
      pipeline.versions.set(source.version, held)
      pipelines.set(source.pipeline, pipeline)
      fresh.add(held)
      incomplete.add(held)
      return { kind: 'loaded', held }
    } catch (error) {
      return { kind: 'failed', reason: toServingError(error).message }
    }
  }

  const serve = (name: PlanName): void => {
    const found = pipelines.get(name.pipeline)
    if (found !== undefined) found.serving = toName(name)
  }

  const unload = (name: string, version: number): HeldPlan | undefined => {
    const pipeline = pipelines.get(name)
    const held = pipeline?.versions.get(version)
    pipeline?.versions.delete(version)
    if (pipeline?.versions.size === 0) pipelines.delete(name)
    if (held !== undefined) fresh.delete(held)
    return held
  }

  const held = (): readonly HeldPlan[] => [...pipelines.values()].flatMap(({ versions }) => [...versions.values()])

  const completed = (): readonly HeldPlan[] => held().filter((one) => !incomplete.has(one))

  for (const source of saved.plans) load(source)
  for (const one of held()) incomplete.delete(one) // or it would not have been saved
  for (const name of saved.serving) serve(name)
  fresh.clear()

  return {
    load,
    serve,
    unload,
    synchronise: (named, from) => {
      const isOtherStore = storeId !== '' && from !== storeId
      storeId = from
      const dropped = isOtherStore
        ? []
        : held().filter((one) => !fresh.has(one) && !named.some((name) => isSame(name, one)))
      for (const { pipeline, version } of dropped) unload(pipeline, version)
      fresh.clear()
      return dropped
    },
    serving: (name) => {
      const pipeline = pipelines.get(name)
      if (pipeline === undefined) return undefined
      const { serving, versions } = pipeline
      const chosen = serving === undefined ? undefined : versions.get(serving.version)
      if (chosen !== undefined && serving !== undefined && isSame(chosen, serving)) return chosen
      let newest: HeldPlan | undefined
      for (const one of versions.values()) if (newest === undefined || one.version > newest.version) newest = one
      return newest
    },
    held,
    complete: (one) => {
      incomplete.delete(one)
    },
    completed,
    introduce: () => ({ held: completed().map(toName), storeId }),
    snapshot: () => ({
      storeId,
      plans: completed().map(toSource),
      serving: [...pipelines.values()].flatMap(({ serving }) => (serving === undefined ? [] : [serving])),
    }),
  }
}

export const toName = ({ pipeline, version, uid }: PlanName): PlanName => ({ pipeline, version, uid })

/** Nothing else of a message. */
const toSource = ({ pipeline, version, uid, specJson }: PlanSource): PlanSource => ({
  pipeline,
  version,
  uid,
  specJson,
})

function toJournalSettings({ dataflow }: PipelineSpec): JournalSettings {
  const { record = 'all', wait = 'input', onJournalFailure: onFailure = 'fail-closed' } = dataflow ?? {}
  return { record, wait, onFailure }
}

/** The scheduler checked it at apply; a file could hold anything. @throws ServingError MANIFEST_INVALID */
function parseSpec({ pipeline, specJson }: PlanSource): PipelineSpec {
  try {
    return Value.Parse(PipelineSpecSchema, JSON.parse(specJson))
  } catch (error) {
    throw new ServingError('MANIFEST_INVALID', `the spec of pipeline ${pipeline} cannot be read: ${String(error)}`, {
      cause: error,
    })
  }
}

/** The error of a request to a pipeline that nobody has loaded here. */
export const unknownPipeline = (name: string): ServingError =>
  new ServingError('PIPELINE_NOT_FOUND', `pipeline "${name}" is not available: no such pipeline, or it is not loaded`)
