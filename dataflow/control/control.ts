/** Does what the scheduler says: loads, serves and unloads pipelines, makes their topics, and reports what became of it. */
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { PipelineReport } from '../../api/generated/millrace/dataflow/PipelineReport.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { Journal } from '../journal/journal.ts'
import type { TopicEnd } from '../journal/topics.ts'
import type { Plan } from '../plan/plan.ts'
import type { PipelineRunner } from '../runner/pipeline-request.ts'
import { type HeldPlan, type HeldPlans, type PlanName, type PlanSource, toName } from './held-plans.ts'
import type { PlansFile } from './plans-file.ts'

export interface ControlDeps {
  readonly plans: HeldPlans
  readonly file: PlansFile
  readonly journal: Journal
  readonly runner: Pick<PipelineRunner, 'untilIdle'>
  /** Of who waits for answers over topics. */
  readonly listening?: Listening
  /** What else a pipeline needs before it counts as loaded. @throws ServingError */
  readonly prepare?: (held: HeldPlan) => Promise<void>
  readonly report: (message: GatewayMessage) => void
  /** Nothing is reported any more. */
  readonly signal: AbortSignal
  readonly log: Logger
}

/** To the results of pipelines that are executed over topics. */
export interface Listening {
  /** Resolves when results of requests from now on are seen; at once for a plan that needs none of it. @throws ServingError */
  readonly begin: (plan: Plan) => Promise<void>
  /** Of pipelines that are not among these, nothing is read any more. */
  readonly keep: (plans: readonly Plan[]) => void
}

/** Returns what takes the scheduler's messages. */
export function createControl(deps: ControlDeps): (message: SchedulerMessage__Output) => void {
  const { plans, file, journal, runner, listening, signal, log } = deps
  const keepListening = (): void => {
    listening?.keep(plans.held().map(({ plan }) => plan))
  }

  const report = (
    { pipeline, version, uid }: PlanName,
    state: NonNullable<PipelineReport['state']>,
    reason: string,
    mayPass = false,
  ): void => {
    if (!signal.aborted) deps.report({ report: { pipeline, version, uid, state, reason, mayPass } })
  }
  const load = (source: PlanSource): void => {
    const name = toName(source)
    const outcome = plans.load(source)
    if (outcome.kind === 'failed') {
      log.error({ ...name, error: outcome.reason }, 'pipeline could not be loaded')
      report(name, 'FAILED', outcome.reason)
      return
    }
    log.info(name, 'pipeline loaded')
    void makeTopics(outcome.held)
  }

  /** Says LOADED once the topics are there, else why not: the scheduler asks again. */
  const makeTopics = async (held: HeldPlan): Promise<void> => {
    const name = toName(held)
    try {
      if (held.journal.record !== 'none') await journal.ensureTopics(topicsOf(held))
      await deps.prepare?.(held)
      await listening?.begin(held.plan)
      plans.complete(held)
      file.save(plans.snapshot)
      report(name, 'LOADED', '')
    } catch (error) {
      const reason = toServingError(error).message
      log.warn({ ...name, error: reason }, 'topics of a pipeline could not be made')
      report(name, 'FAILED', reason, true)
    }
  }

  const unload = async (name: PlanName, held: HeldPlan | undefined, keepTopics: boolean): Promise<void> => {
    file.save(plans.snapshot)
    if (held !== undefined) {
      log.info(name, 'pipeline unloaded')
      await runner.untilIdle(held.plan)
    }
    const own = ownTopics(name.pipeline)
    try {
      // Whoever writes after the deletion would make the topics anew.
      if (held === undefined || held.spec.dataflow?.cleanTopicsOnDelete === true) await journal.untilRecorded(own)
      if (!keepTopics) await journal.deleteTopics(own)
      report(name, 'UNLOADED', '')
    } catch (error) {
      const reason = toServingError(error).message
      log.warn({ ...name, error: reason }, 'topics of a pipeline could not be deleted')
      report(name, 'FAILED', reason, true)
    }
  }

  return ({ load: loaded, serve, unload: unloaded, synchronised }) => {
    if (loaded) load(loaded)
    else if (serve) {
      plans.serve(toName(serve))
      file.save(plans.snapshot)
    } else if (unloaded) {
      const { pipeline, version, keepTopics } = unloaded
      const held = plans.unload(pipeline, version)
      keepListening()
      void unload({ pipeline, version, uid: held?.uid ?? '' }, held, keepTopics)
    } else if (synchronised) {
      const dropped = plans.synchronise(synchronised.held, synchronised.storeId)
      keepListening()
      for (const one of dropped) log.info(toName(one), 'pipeline dropped: the scheduler does not know it any more')
      file.save(plans.snapshot)
    }
  }
}

const ownTopics = (pipeline: string): readonly TopicEnd[] => [
  { kind: 'pipeline', name: pipeline, side: 'inputs' },
  { kind: 'pipeline', name: pipeline, side: 'outputs' },
]

const topicsOf = ({ plan, journal }: HeldPlan): readonly TopicEnd[] => [
  ...ownTopics(plan.pipeline),
  ...(journal.record === 'boundary'
    ? []
    : plan.steps.flatMap((name): TopicEnd[] => [
        { kind: 'model', name, side: 'inputs' },
        { kind: 'model', name, side: 'outputs' },
      ])),
  { kind: 'errors' },
]
