import { type Static, Type } from 'typebox'
import type { ProcessDefinition } from '../../kit/config.ts'
import { LOG_LEVELS } from '../../kit/log.ts'
import { callerOptions, listenerOptions } from '../../kit/security.ts'
import { journalOptions } from '../journal/options.ts'
import { kafkaAliases } from '../kafka/options.ts'
import { ingressOptions } from '../model-client/options.ts'

const MIB = 1024 * 1024
const count = (standard: number, minimum: number, description: string) =>
  Type.Integer({ minimum, default: standard, description })

const schema = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      default: 'model-gateway-0',
      description: 'Name of this gateway, unique among them and the same after a restart.',
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
      default: 9008,
      description: 'Port for /healthz, /readyz and /metrics.',
    }),
    unitsFile: Type.String({
      minLength: 1,
      default: 'models.json',
      description:
        'File of the models that the scheduler last gave: they are served while it is away, after a restart too.',
    }),
    maxConcurrentPerModel: count(32, 1, 'Calls of one model at the same time; its other records wait.'),
    maxRecordsPerPartition: count(
      64,
      1,
      'Records of one partition that are taken and not done; the others wait in Kafka. As many may be there twice after a kill.',
    ),
    maxBytesPerPartition: count(16 * MIB, 1, 'Bound of the bytes of these; a single record may be larger.'),
    maxHeldBytes: count(256 * MIB, 1, 'Bound of the bytes of all records that are taken.'),
    requestTimeoutMs: count(120_000, 1, 'How long a model may take for one record.'),
    maxWaitMs: count(600_000, 0, 'How long a record waits for a model that is not there; then it is an error.'),
    drainTimeoutMs: count(10_000, 0, 'On SIGTERM, and when a model moves, how long what runs may take to finish.'),
    ...journalOptions,
    ...listenerOptions,
    ...callerOptions,
    logLevel: Type.Enum([...LOG_LEVELS], { default: 'info', description: 'Least severe level that is logged.' }),
  },
  { additionalProperties: false },
)

export type ModelGatewayConfig = Readonly<Static<typeof schema>>

export const modelGatewayProcess: ProcessDefinition<typeof schema> = {
  name: 'model-gateway',
  summary:
    "Takes records from models' input topics in Kafka, calls the models through Envoy, and records their answers.",
  schema,
  environmentAliases: kafkaAliases,
}
