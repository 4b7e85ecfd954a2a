/**
 * The topics in which this gateway reads answers: the outputs of the pipelines that it holds and that are executed over topics. One
 * consumer for all of them; a pipeline is served only once its answers would be seen.
 */
import { within } from '../../kit/deadline.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { Consumer } from '../consumer/types.ts'
import type { Listening } from '../control/control.ts'
import { topicName, type TopicSpace } from '../journal/topics.ts'
import type { Plan } from '../plan/plan.ts'

/** Kafka places a topic in some milliseconds; the scheduler asks again. */
const PLACE_DEADLINE_MS = 20_000

export interface ListeningDeps {
  /** Undefined: this gateway has no Kafka. */
  readonly consumer: Pick<Consumer, 'assign' | 'release'> | undefined
  readonly space: TopicSpace
  /** Resolves when nobody waits for an answer of this pipeline. */
  readonly untilUnawaited: (pipeline: string) => Promise<void>
  readonly log: Logger
}

export interface Answers extends Listening {
  /** For the plans of the last run, which serve at once: their requests wait for it. */
  readonly resume: (plans: readonly Plan[]) => void
  /** Undefined: they are seen already. @throws ServingError KAFKA_UNAVAILABLE without a Kafka */
  readonly placing: (pipeline: string) => Promise<void> | undefined
}

export function createListening({ consumer, space, untilUnawaited, log }: ListeningDeps): Answers {
  /** By pipeline. */
  const placing = new Map<string, Promise<void>>()
  const placed = new Set<string>()
  let kept: ReadonlySet<string> = new Set()

  const topicOf = (pipeline: string): string => outputsOf(space, pipeline)
  const place = (pipeline: string): Promise<void> => {
    const known = placing.get(pipeline)
    if (known !== undefined) return known
    if (consumer === undefined) throw withoutKafka(pipeline)
    const begun = consumer.assign(topicOf(pipeline)).then(() => {
      if (placing.get(pipeline) === begun) placed.add(pipeline)
    })
    placing.set(pipeline, begun)
    return begun
  }
  const release = async (pipeline: string): Promise<void> => {
    const begun = placing.get(pipeline)
    await untilUnawaited(pipeline)
    if (kept.has(pipeline) || placing.get(pipeline) !== begun) return // it is held again, or was released already
    placing.delete(pipeline)
    placed.delete(pipeline)
    await consumer?.release(topicOf(pipeline), 0)
  }

  const begin = async ({ pipeline, execution }: Plan): Promise<void> => {
    if (execution !== 'topics') return
    kept = new Set([...kept, pipeline])
    await within(PLACE_DEADLINE_MS, place(pipeline), () => notReadYet(pipeline))
  }

  return {
    begin,
    resume: (plans) => {
      for (const plan of plans)
        begin(plan).catch((error: unknown) => {
          const reason = toServingError(error).message
          log.warn({ pipeline: plan.pipeline, error: reason }, 'results of a pipeline are not read yet')
        })
    },
    keep: (plans) => {
      kept = new Set(plans.filter(({ execution }) => execution === 'topics').map(({ pipeline }) => pipeline))
      for (const pipeline of placing.keys()) if (!kept.has(pipeline)) void release(pipeline)
    },
    placing: (pipeline) => (placed.has(pipeline) ? undefined : place(pipeline)),
  }
}

export const outputsOf = (space: TopicSpace, pipeline: string): string =>
  topicName(space, { kind: 'pipeline', name: pipeline, side: 'outputs' })

const withoutKafka = (pipeline: string): ServingError =>
  new ServingError(
    'KAFKA_UNAVAILABLE',
    `spec.dataflow.execution of pipeline "${pipeline}" is topics, and this gateway has no Kafka: start it with --kafka-bootstrap-servers or --kafka-config, or use direct`,
  )

const notReadYet = (pipeline: string): ServingError =>
  new ServingError('KAFKA_UNAVAILABLE', `the outputs of pipeline "${pipeline}" cannot be read yet`)
