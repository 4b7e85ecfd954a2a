/** The two ways in which a gateway runs requests, as one runner: each request goes the way that its plan says. */
import { startConsumer } from '../consumer/consumer.ts'
import { checkedSpace } from '../journal/topics.ts'
import { connectKafka } from '../kafka/connect.ts'
import { isKafkaGiven, loadKafkaConnection } from '../kafka/connection.ts'
import type { Plan } from '../plan/plan.ts'
import type { Parts } from '../process/parts.ts'
import { createDirectRunner } from '../runner/direct-runner.ts'
import { type PipelineRunner, tooMany } from '../runner/pipeline-request.ts'
import type { PipelineGatewayConfig } from './config.ts'
import { type Answers, createListening } from './listening.ts'
import { createTopicsCaller } from './topics-caller.ts'

const MIB = 1024 * 1024
/** Records are looked at as they come, so these bound one answer of a broker. */
const ANSWERS = {
  from: { kind: 'latest' },
  maxInFlight: 1_024,
  maxInFlightBytes: 64 * MIB,
  maxHeldBytes: 256 * MIB,
  commitEveryMs: 1_000,
} as const

/** @throws ServingError CONFIG_INVALID */
export function startRunners(
  config: PipelineGatewayConfig,
  { models, journal, epoch, registry, started, log, nowMs }: Parts,
): { readonly runner: PipelineRunner; readonly answers: Answers } {
  const { maxRequests } = config
  const mark = `${config.name}/${epoch}`
  const direct = createDirectRunner({ models, journal, maxRequests, mark, log, nowMs })
  const space = checkedSpace({ prefix: config.topicPrefix, namespace: config.namespace })
  const caller = createTopicsCaller({ journal, space, listening: () => answers, mark, nowMs })
  const given = { bootstrapServers: config.kafkaBootstrapServers, configFile: config.kafkaConfig }
  const kafka = isKafkaGiven(given) ? connectKafka(loadKafkaConnection(given), config.name) : undefined
  const consumer = kafka && startConsumer(ANSWERS, { kafka, onRecord: caller.onRecord, registry, log, nowMs })
  if (consumer !== undefined) started('answers', { stop: () => consumer.stop(0) })
  const answers = createListening({ consumer, space, untilUnawaited: caller.untilUnawaited, log })
  return { runner: createRunner(direct, caller, maxRequests), answers }
}

/** At most so many requests at once, whichever way they go. */
function createRunner(direct: PipelineRunner, overTopics: PipelineRunner, maxRequests: number): PipelineRunner {
  const running = (): number => direct.running() + overTopics.running()
  return {
    run: (request, onEnd) => {
      const { pipeline, execution } = request.plan
      if (running() >= maxRequests) onEnd(tooMany(pipeline, maxRequests))
      else (execution === 'topics' ? overTopics : direct).run(request, onEnd)
    },
    running,
    untilIdle: async (plan?: Plan) => {
      await Promise.all([direct.untilIdle(plan), overTopics.untilIdle(plan)])
    },
  }
}
