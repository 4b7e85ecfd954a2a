import { type Static, Type } from 'typebox'
import type { ProcessDefinition } from '../../kit/config.ts'
import { countOption, hostOption, httpPortOption, logLevelOption } from '../../kit/options.ts'
import { callerOptions, listenerOptions } from '../../kit/security.ts'
import { controlOptions } from '../control/options.ts'
import { journalOptions } from '../journal/options.ts'
import { kafkaAliases } from '../kafka/options.ts'
import { ingressOptions } from '../model-client/options.ts'

const MIB = 1024 * 1024

const schema = Type.Object(
  {
    ...controlOptions('model-gateway-0', 'gateway'),
    ...ingressOptions,
    host: hostOption,
    httpPort: httpPortOption(9008),
    unitsFile: Type.String({
      minLength: 1,
      default: 'models.json',
      description:
        'File of the models that the scheduler last gave: they are served while it is away, after a restart too.',
    }),
    maxConcurrentPerModel: countOption(32, 1, 'Calls of one model at the same time; its other records wait.'),
    maxRecordsPerPartition: countOption(
      64,
      1,
      'Records of one partition that are taken and not done; the others wait in Kafka. As many may be there twice after a kill.',
    ),
    maxBytesPerPartition: countOption(16 * MIB, 1, 'Bound of the bytes of these; a single record may be larger.'),
    maxHeldBytes: countOption(256 * MIB, 1, 'Bound of the bytes of all records that are taken.'),
    requestTimeoutMs: countOption(120_000, 1, 'How long a model may take for one record.'),
    maxWaitMs: countOption(600_000, 0, 'How long a record waits for a model that is not there; then it is an error.'),
    drainTimeoutMs: countOption(
      10_000,
      0,
      'On SIGTERM, and when a model moves, how long what runs may take to finish.',
    ),
    ...journalOptions,
    ...listenerOptions,
    ...callerOptions,
    logLevel: logLevelOption,
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
