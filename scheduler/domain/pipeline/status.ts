/**
 * A pipeline's status: that of the version users want, so a new version that fails says PipelineFailed while the old one
 * keeps serving (I4). The gateways decide whether it answers; the engine that reads it, whether records on its input topic are
 * run, which only a pipeline that is executed over topics must have to be ready.
 */
import type { ClusterView } from '../cluster.ts'
import type {
  ModelDocument,
  PipelineDocument,
  PipelineState,
  PipelineStatusDocument,
  PipelineVersionDocument,
} from '../documents.ts'
import { sameValue } from '../same-value.ts'
import { feedingProblems } from './feeding.ts'
import { cleansTopics, isOverTopics, modelsOf, servingPipelineVersion, wantedPipelineVersion } from './facts.ts'
import type { GatewaysView, PipelineContext } from './gateways-view.ts'

interface Verdict {
  readonly state: PipelineState
  readonly reason: string
}

/** The status of a record as it stands; `changedAtMs` moves only when something else does. */
export function toPipelineStatus(
  pipeline: PipelineDocument,
  cluster: Pick<ClusterView, 'model' | 'pipeline'>,
  context: PipelineContext,
): PipelineStatusDocument {
  const { changedAtMs: _, ...before } = pipeline.status
  const verdict = withFeeding(decide(pipeline, context), pipeline, cluster)
  const after = { missingModels: missingModelsOf(pipeline, cluster), ...verdict }
  return sameValue(before, after) ? pipeline.status : { changedAtMs: context.nowMs, ...after }
}

/** Models of the wanted version's steps of which no version answers, sorted. */
export function missingModelsOf(pipeline: PipelineDocument, cluster: Pick<ClusterView, 'model'>): readonly string[] {
  return modelsOf(wantedPipelineVersion(pipeline)).filter((name) => !isModelAnswering(cluster.model(name)))
}

/** A version of it answers, be it the one that users want or the one before. */
export const isModelAnswering = (model: ModelDocument | undefined): boolean =>
  model !== undefined && !model.deleted && model.status.availableReplicas > 0

/** It can be called all the same. */
function withFeeding(verdict: Verdict, pipeline: PipelineDocument, cluster: Pick<ClusterView, 'pipeline'>): Verdict {
  if (verdict.state !== 'PipelineReady') return verdict
  const problems = feedingProblems(wantedPipelineVersion(pipeline), cluster.pipeline)
  return { ...verdict, reason: [verdict.reason, ...problems].join('; ') }
}

function decide(pipeline: PipelineDocument, context: PipelineContext): Verdict {
  if (pipeline.deleted) return terminating(pipeline, context)
  if (pipeline.refused !== undefined)
    return { state: 'PipelineFailed', reason: `Envoy refused its route: ${pipeline.refused}; apply it again` }
  const { gateways } = context
  const wanted = wantedPipelineVersion(pipeline)
  const needed = gateways.needed()
  const version = `Version ${String(wanted.version)}`
  if (needed.length === 0)
    return {
      state: 'PipelineCreate',
      reason: `${version} is not served: no pipeline gateway is connected; start one that uses this scheduler`,
    }
  if (pipeline.serving === wanted.version) return served(pipeline, wanted, context)
  const said = needed.map((name) => ({ name, answer: gateways.said(name, wanted.uid) }))
  const failed = said.flatMap(({ name, answer }) => (answer.kind === 'failed' ? [{ name, ...answer }] : []))
  const [first] = failed
  if (first !== undefined) {
    const next = first.retrying ? 'it is tried again by itself' : 'given up: correct the pipeline and apply it again'
    const reason = `${version} failed on ${first.name}: ${first.reason} (${next})${stillServes(pipeline)}`
    return { state: 'PipelineFailed', reason }
  }
  const loading = said.filter(({ answer }) => answer.kind !== 'loaded').map(({ name }) => name)
  return { state: 'PipelineCreating', reason: `${version} is loading on ${loading.join(', ')}${stillServes(pipeline)}` }
}

/** I2: not Ready before every counting Envoy has its route. */
function served(pipeline: PipelineDocument, wanted: PipelineVersionDocument, context: PipelineContext): Verdict {
  const version = `Version ${String(wanted.version)}`
  if (pipeline.route?.ackedAtMs !== undefined) return withEngine(pipeline, wanted, context)
  const isNobodyThere = pipeline.route !== undefined && context.isAcked(pipeline.route.sinceRevision) === 'no-node'
  return {
    state: 'PipelineCreating',
    reason: isNobodyThere
      ? `${version} is loaded, no Envoy connected that answers: start one that uses this scheduler, or see its log`
      : `${version} is loaded and waits for Envoy's ACK of its route`,
  }
}

/** What its records on topics wait for; a request over the API waits for it too when every step goes over topics. */
function withEngine(
  { name, status: before }: PipelineDocument,
  wanted: PipelineVersionDocument,
  context: PipelineContext,
): Verdict {
  if (isOverTopics(wanted)) return overTopics(name, wanted, context)
  const { gateways, engines } = context
  const version = `Version ${String(wanted.version)} serves`
  const journal = gateways.journal()
  const isFed = wanted.spec.input !== undefined
  const ready = (reason: string, unfed = ''): Verdict => ({
    state: 'PipelineReady',
    reason:
      isFed && unfed !== '' ? `${reason}; nothing comes from the pipelines that it names as inputs${unfed}` : reason,
  })
  if (wanted.spec.dataflow?.record === 'none') return ready(version, ': it records nothing')
  if (journal === 'none') return ready(version, ': there is no Kafka')
  const serves = withCopies(version, journal)
  if (!engines.areHere())
    return ready(`${serves}; no engine is connected: records on its input topic wait`, ' before one is')
  const said = engines.said(name, wanted.uid)
  if (said.kind === 'failed') {
    const reason = `the engine that reads its input topic could not load it: ${said.reason}`
    return { state: 'PipelineReady', reason: `${serves}; ${reason}` }
  }
  // From when on the engine has it, nothing that the others give is missed.
  if (isFed && said.kind === 'nothing' && before.state !== 'PipelineReady')
    return { state: 'PipelineCreating', reason: `${version}; the engine that reads what other pipelines give loads it` }
  return { state: 'PipelineReady', reason: serves }
}

/** Over topics a request needs all three: who waits for its result, who leads it from step to step, who asks the models. */
function overTopics(name: string, wanted: PipelineVersionDocument, context: PipelineContext): Verdict {
  const { gateways, engines, modelGateways } = context
  const version = `Version ${String(wanted.version)}`
  const said = engines.said(name, wanted.uid)
  if (said.kind === 'failed')
    return { state: 'PipelineFailed', reason: `the engine that reads its inputs could not load it: ${said.reason}` }
  const unread = modelsOf(wanted).filter((model) => modelGateways.readerOf(model) === undefined)
  const reader = engines.readerOf(name)
  const missing = [
    gateways.journal() === 'none' && 'no pipeline gateway with a Kafka is connected',
    !gateways.needed().some((gateway) => gateways.said(gateway, wanted.uid).kind === 'loaded') &&
      'no pipeline gateway waits for its results',
    engineMissing(engines.areHere(), reader, said.kind === 'loaded'),
    unread.length > 0 &&
      (modelGateways.areHere()
        ? `no model gateway reads the inputs of ${unread.join(', ')}`
        : 'no model gateway is connected'),
  ].filter((text) => typeof text === 'string')
  if (missing.length > 0)
    return {
      state: 'PipelineCreating',
      reason: `${version} is executed over topics, where requests wait for what is missing: ${missing.join('; ')}`,
    }
  return { state: 'PipelineReady', reason: withCopies(`${version} serves, over topics`, gateways.journal()) }
}

function engineMissing(areHere: boolean, reader: string | undefined, isLoaded: boolean): string | false {
  if (!areHere) return 'no engine is connected'
  if (reader === undefined) return 'no engine reads its inputs'
  return isLoaded ? false : `engine ${reader} has not loaded it`
}

const withCopies = (text: string, journal: ReturnType<GatewaysView['journal']>): string =>
  journal === 'one copy' ? `${text}; the journal is not replicated: one copy of each record` : text

function terminating(pipeline: PipelineDocument, { gateways }: PipelineContext): Verdict {
  if (pipeline.unloading !== true)
    return { state: 'PipelineTerminating', reason: 'Deleted: taken out of the routes, then unloaded' }
  const isCleaning = pipeline.cleaning === true
  const unloads = gateways.unloads(pipeline.name, isCleaning ? 'clean' : 'unload')
  const failed = unloads.find(({ kind }) => kind === 'failed')
  if (failed !== undefined)
    return {
      state: 'PipelineFailedTerminating',
      reason: `${failed.gateway} could not unload it: ${failed.reason} (it is tried again by itself)`,
    }
  const asked = unloads.filter(({ kind }) => kind === 'asked').map(({ gateway }) => gateway)
  if (asked.length > 0) {
    const what = isCleaning ? 'deleting its topics' : 'unloading'
    return { state: 'PipelineTerminating', reason: `Deleted: ${what} on ${asked.join(', ')}` }
  }
  if (cleansTopics(pipeline) && (!isCleaning || unloads.length === 0))
    return {
      state: 'PipelineTerminating',
      reason: 'Deleted: its topics wait for a pipeline gateway that deletes them; start one that uses this scheduler',
    }
  return { state: 'PipelineTerminated', reason: 'Unloaded everywhere' }
}

function stillServes(pipeline: PipelineDocument): string {
  const serving = servingPipelineVersion(pipeline)
  return serving === undefined ? '' : `; version ${String(serving.version)} keeps serving`
}
