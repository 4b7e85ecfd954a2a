import { type Static, Type } from 'typebox'
import { MAX_MESSAGE_BYTES } from '../../api/grpc.ts'
import type { ProcessDefinition } from '../../kit/config.ts'
import { countOption, hostOption, httpPortOption, logLevelOption, portOption } from '../../kit/options.ts'
import { controlOptions } from '../control/options.ts'
import { journalOptions } from '../journal/options.ts'
import { kafkaAliases } from '../kafka/options.ts'
import { ingressOptions } from '../model-client/options.ts'
import { callerOptions, listenerOptions } from '../../kit/security.ts'

const schema = Type.Object(
  {
    ...controlOptions('pipeline-gateway-0', 'gateway'),
    ...ingressOptions,
    host: hostOption,
    address: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'IP address under which Envoy reaches this gateway; --host if absent.',
      }),
    ),
    restPort: portOption(9010, 'Port for pipelines over REST.'),
    grpcPort: portOption(9011, 'Port for pipelines over gRPC.'),
    httpPort: httpPortOption(9012),
    plansFile: Type.String({
      minLength: 1,
      default: 'pipelines.json',
      description:
        'File of the pipelines that the scheduler last gave: they serve while it is away, after a restart too.',
    }),
    maxConcurrentPerModel: countOption(256, 1, 'Calls of one model at the same time.'),
    maxQueuedPerModel: countOption(1_024, 0, 'Calls of one model that wait for their turn; more are refused with 429.'),
    maxRequests: countOption(
      4_096,
      1,
      'Requests of all pipelines at the same time, what still runs after an answer included; more are refused with 429.',
    ),
    maxRequestBytes: countOption(MAX_MESSAGE_BYTES, 1, 'Largest request body or message.'),
    maxBufferedBytes: countOption(
      4 * MAX_MESSAGE_BYTES,
      1,
      'All REST bodies held at the same time; more are refused with 429.',
    ),
    drainTimeoutMs: countOption(10_000, 0, 'On SIGTERM, how long requests in flight may take to finish.'),
    ...journalOptions,
    ...listenerOptions,
    ...callerOptions,
    logLevel: logLevelOption,
  },
  { additionalProperties: false },
)

export type PipelineGatewayConfig = Readonly<Static<typeof schema>>

export const pipelineGatewayProcess: ProcessDefinition<typeof schema> = {
  name: 'pipeline-gateway',
  summary:
    'Answers requests to pipelines: calls the models of their steps through Envoy, and records every edge in Kafka.',
  schema,
  environmentAliases: kafkaAliases,
}
