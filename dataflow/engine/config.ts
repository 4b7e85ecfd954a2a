import { type Static, Type } from 'typebox'
import type { ProcessDefinition } from '../../kit/config.ts'
import { LOG_LEVELS } from '../../kit/log.ts'
import { callerOptions, listenerOptions } from '../../kit/security.ts'
import { journalOptions } from '../journal/options.ts'
import { kafkaAliases } from '../kafka/options.ts'
import { ingressOptions } from '../model-client/options.ts'

const count = (standard: number, minimum: number, description: string) =>
  Type.Integer({ minimum, default: standard, description })

const schema = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      default: 'engine-0',
      description: 'Name of this engine, unique among them and the same after a restart.',
    }),
    scheduler: Type.String({
      minLength: 1,
      default: '127.0.0.1:9005',
      description: 'Address of the scheduler for agents and gateways.',
    }),
    ...ingressOptions,
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address to listen on.' }),
    httpPort: Type.Integer({
      minimum: 0,
      maximum: 65_535,
      default: 9007,
      description: 'Port for /healthz, /readyz and /metrics.',
    }),
    plansFile: Type.String({
      minLength: 1,
      default: 'engine-pipelines.json',
      description:
        'File of the pipelines that the scheduler last gave: they are read while it is away, after a restart too.',
    }),
    maxConcurrentPerModel: count(256, 1, 'Calls of one model at the same time.'),
    maxRequests: count(256, 1, 'Requests of all pipelines that run at the same time; the others wait in Kafka.'),
    maxInFlightPerPartition: count(
      256,
      1,
      'Records of one partition that are read and not done; the others of it wait in Kafka.',
    ),
    maxHeldBytes: count(256 * 1024 * 1024, 1, 'Bound of the records that are held in memory, of all partitions.'),
    drainTimeoutMs: count(10_000, 0, 'On SIGTERM, how long requests that run may take to finish.'),
    ...journalOptions,
    ...listenerOptions,
    ...callerOptions,
    logLevel: Type.Enum([...LOG_LEVELS], { default: 'info', description: 'Least severe level that is logged.' }),
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
