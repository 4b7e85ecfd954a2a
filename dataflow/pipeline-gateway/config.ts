import { type Static, Type } from 'typebox'
import { MAX_MESSAGE_BYTES } from '../../api/grpc.ts'
import type { ProcessDefinition } from '../../kit/config.ts'
import { LOG_LEVELS } from '../../kit/log.ts'
import { journalOptions } from '../journal/options.ts'
import { kafkaAliases } from '../kafka/options.ts'
import { ingressOptions } from '../model-client/options.ts'
import { callerOptions, listenerOptions } from '../../kit/security.ts'

const port = (standard: number, description: string) =>
  Type.Integer({ minimum: 0, maximum: 65_535, default: standard, description })
const count = (standard: number, minimum: number, description: string) =>
  Type.Integer({ minimum, default: standard, description })

const schema = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      default: 'pipeline-gateway-0',
      description: 'Name of this gateway, unique among them and the same after a restart.',
    }),
    scheduler: Type.String({
      minLength: 1,
      default: '127.0.0.1:9005',
      description: 'Address of the scheduler for agents and gateways.',
    }),
    ...ingressOptions,
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address to listen on.' }),
    address: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'IP address under which Envoy reaches this gateway; --host if absent.',
      }),
    ),
    restPort: port(9010, 'Port for pipelines over REST.'),
    grpcPort: port(9011, 'Port for pipelines over gRPC.'),
    httpPort: port(9012, 'Port for /healthz, /readyz and /metrics.'),
    plansFile: Type.String({
      minLength: 1,
      default: 'pipelines.json',
      description:
        'File of the pipelines that the scheduler last gave: they serve while it is away, after a restart too.',
    }),
    maxConcurrentPerModel: count(256, 1, 'Calls of one model at the same time.'),
    maxQueuedPerModel: count(1_024, 0, 'Calls of one model that wait for their turn; more are refused with 429.'),
    maxRequests: count(
      4_096,
      1,
      'Requests of all pipelines at the same time, what still runs after an answer included; more are refused with 429.',
    ),
    maxRequestBytes: count(MAX_MESSAGE_BYTES, 1, 'Largest request body or message.'),
    maxBufferedBytes: count(
      4 * MAX_MESSAGE_BYTES,
      1,
      'All REST bodies held at the same time; more are refused with 429.',
    ),
    drainTimeoutMs: count(10_000, 0, 'On SIGTERM, how long requests in flight may take to finish.'),
    ...journalOptions,
    ...listenerOptions,
    ...callerOptions,
    logLevel: Type.Enum([...LOG_LEVELS], { default: 'info', description: 'Least severe level that is logged.' }),
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
