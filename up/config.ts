import { Type } from 'typebox'
import { kafkaAliases, kafkaOptions } from '../dataflow/kafka/options.ts'
import { packageRoot } from '../kit/root.ts'
import type { ProcessDefinition } from '../kit/config.ts'
import { join } from 'node:path'
import { callerOptions, listenerOptions } from '../kit/security.ts'
import { MAX_PIPELINE_GATEWAYS } from './ports.ts'

const upSchema = Type.Object({
  once: Type.Boolean({ default: false, description: 'Exit after the sample inferences: 0 when both were answered.' }),
  fresh: Type.Boolean({ default: false, description: 'Forget all applied resources first. Fetched tools are kept.' }),
  sample: Type.Boolean({
    default: true,
    description: 'Apply the sample model iris and infer with it; --no-sample leaves that out.',
  }),
  servers: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Replicas, as embedded=2,mlserver=1, at most 10 each (mlserver is fetched); they replace what was applied before. Without it what was applied runs again, embedded=2 at first.',
    }),
  ),
  pipelineGateways: Type.Integer({
    default: 1,
    minimum: 0,
    maximum: MAX_PIPELINE_GATEWAYS,
    description: 'Pipeline gateways; without one no pipeline answers.',
  }),
  portOffset: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 50_000,
    description: 'Added to every port (ingress 9000, scheduler 9004, ...).',
  }),
  envoyConcurrency: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 256,
    description: 'Worker threads of Envoy; 0: half of the processors, as everything else runs here, too.',
  }),
  stateDir: Type.String({
    default: join(packageRoot, '.millrace'),
    minLength: 1,
    description: 'Folder for the state, the logs and the lock: one running `millrace up` each.',
  }),
  toolsDir: Type.String({
    default: join(packageRoot, '.millrace'),
    minLength: 1,
    description: 'Folder where fetched tools (Envoy, Redis) are kept.',
  }),
  artifactRoots: Type.Array(Type.String({ minLength: 1 }), {
    default: [...new Set([packageRoot, process.env['INIT_CWD'] ?? process.cwd()])],
    description: 'Folders that models may be loaded from.',
  }),
  javascriptModels: Type.Boolean({
    default: false,
    description:
      'Embedded servers load JavaScript models, too. They can do all that you can: only for code that you trust.',
  }),
  tokenFile: listenerOptions.tokenFile,
  tlsCert: listenerOptions.tlsCert,
  tlsKey: listenerOptions.tlsKey,
  tlsClientCa: listenerOptions.tlsClientCa,
  ...callerOptions,
  ingressTls: Type.Boolean({
    default: false,
    description: 'The ingress speaks TLS, too, with the same certificate; it asks clients for none.',
  }),
  kafka: Type.Boolean({
    default: false,
    description:
      'Start a Kafka broker, for what pipelines record. Fetched with Maven; needs Java 17 or later. Not with a Kafka of your own.',
  }),
  kafkaBootstrapServers: kafkaOptions.kafkaBootstrapServers,
  kafkaConfig: kafkaOptions.kafkaConfig,
  redisUrl: Type.String({
    default: '',
    pattern: '^$|^rediss?://[^/]',
    description: 'A Redis of your own, redis://[user:password@]host[:port][/database]; without one a Redis is started.',
  }),
})

export const upDefinition: ProcessDefinition<typeof upSchema> = {
  name: 'up',
  summary:
    'Runs a whole Millrace on this machine: Redis, the scheduler, Envoy and replicas of model servers, each with its agent.\n' +
    'Apply a Server named embedded or mlserver with other spec.replicas, and replicas are started or drained.\n' +
    'Fetches Envoy, Redis, MLServer and Kafka when they are needed and missing (ENVOY_BIN and MLSERVER_BIN name your own).',
  schema: upSchema,
  environmentAliases: { redisUrl: 'REDIS_URL', ...kafkaAliases },
}
