import { type Static, Type } from 'typebox'
import type { ProcessDefinition } from '../../kit/config.ts'
import { countOption, hostOption, httpPortOption, logLevelOption } from '../../kit/options.ts'
import { callerOptions, listenerOptions } from '../../kit/security.ts'
import { controlOptions } from '../control/options.ts'
import { journalOptions } from '../journal/options.ts'
import { kafkaAliases } from '../kafka/options.ts'
import { ingressOptions } from '../model-client/options.ts'

const schema = Type.Object(
  {
    ...controlOptions('engine-0', 'engine'),
    ...ingressOptions,
    host: hostOption,
    httpPort: httpPortOption(9007),
    plansFile: Type.String({
      minLength: 1,
      default: 'engine-pipelines.json',
      description:
        'File of the pipelines that the scheduler last gave: they are read while it is away, after a restart too.',
    }),
    maxConcurrentPerModel: countOption(256, 1, 'Calls of one model at the same time.'),
    maxRequests: countOption(256, 1, 'Requests of all pipelines that run at the same time; the others wait in Kafka.'),
    maxTopicsRequests: countOption(
      10_000,
      1,
      'Requests of pipelines over topics that are under way at the same time; the others wait in Kafka.',
    ),
    maxTopicsBytes: countOption(
      256 * 1024 * 1024,
      1,
      'Bound of the data of these in memory; a request that comes beyond it fails.',
    ),
    maxInFlightPerPartition: countOption(
      256,
      1,
      'Records of one partition that are read and not done; the others of it wait in Kafka.',
    ),
    maxHeldBytes: countOption(256 * 1024 * 1024, 1, 'Bound of the records that are held in memory, of all partitions.'),
    maxExternalRequests: countOption(
      10_000,
      1,
      'Of each pipeline that takes from others: requests that wait for some of their inputs; beyond it the oldest is given up.',
    ),
    maxExternalBytes: countOption(64 * 1024 * 1024, 1, 'Bound of what those hold, of each pipeline.'),
    drainTimeoutMs: countOption(10_000, 0, 'On SIGTERM, how long requests that run may take to finish.'),
    ...journalOptions,
    ...listenerOptions,
    ...callerOptions,
    logLevel: logLevelOption,
  },
  { additionalProperties: false },
)

export type EngineConfig = Readonly<Static<typeof schema>>

export const engineProcess: ProcessDefinition<typeof schema> = {
  name: 'engine',
  summary: 'Runs what programs put on the inputs of pipelines in Kafka, and ends what a dead gateway has left.',
  schema,
  environmentAliases: kafkaAliases,
}
