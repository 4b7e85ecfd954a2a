import { hostname } from 'node:os'
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import type { ProcessDefinition } from '../kit/config.ts'
import { logLevelOption, portOption } from '../kit/options.ts'
import { packageRoot } from '../kit/root.ts'
import { listenerOptions } from '../kit/security.ts'

/** Envoy reads it, not the scheduler. */
const envoyFile = (description: string) =>
  Type.Optional(Type.String({ pattern: '^/', description: `${description} Absolute path, as Envoy sees it.` }))

const schema = Type.Object(
  {
    redisUrl: Type.String({
      pattern: '^rediss?://',
      default: 'redis://127.0.0.1:9079',
      description: 'Where the state is kept: Redis 6.2 or newer with maxmemory-policy noeviction.',
    }),
    keyPrefix: Type.String({
      pattern: '^[A-Za-z0-9._-]{1,64}$',
      default: 'millrace',
      description: 'First part of every Redis key; tells control planes apart that share one Redis.',
    }),
    host: Type.String({ default: '127.0.0.1', description: 'Address that all ports listen on.' }),
    ...listenerOptions,
    advertisedHost: Type.String({
      default: '127.0.0.1',
      description: 'Host under which other schedulers, agents and clients reach this one.',
    }),
    xdsPort: portOption(9002, 'Delta xDS for Envoy.'),
    grpcPort: portOption(9004, 'The scheduler API and our administration API.'),
    agentPort: portOption(9005, 'The API for agents.'),
    httpPort: portOption(9006, 'The administration API over REST, health and metrics.'),
    ingressPort: portOption(9000, 'The port of Envoy for clients, REST and gRPC; told to Envoy over xDS.'),
    ingressHost: Type.String({ default: '127.0.0.1', description: 'Address that Envoy listens on for clients.' }),
    ingressTlsCert: envoyFile('Certificate (PEM) of the ingress, which then speaks TLS only.'),
    ingressTlsKey: envoyFile('Key (PEM) of that certificate.'),
    ingressTlsClientCa: envoyFile('Certificate authority (PEM): clients must show a certificate that it signed.'),
    upstreamCa: envoyFile('Certificate authority (PEM) of model servers and proxies that speak TLS; they need it.'),
    upstreamCert: envoyFile('Certificate (PEM) that Envoy shows to them.'),
    upstreamKey: envoyFile('Key (PEM) of that certificate.'),
    upstreamName: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'DNS name that their certificates must carry; without it any certificate of the authority will do.',
      }),
    ),
    maxRequestBytes: Type.Integer({
      minimum: 1,
      maximum: 0xffff_ffff,
      default: 100 * 1024 * 1024,
      description: 'Larger request bodies are answered 413 by Envoy.',
    }),
    wasmFolder: Type.String({
      default: join(packageRoot, 'wasm-filter/build'),
      description: 'Folder of the compiled Wasm filters, as Envoy sees it.',
    }),
    metricsModels: Type.Integer({
      minimum: 1,
      maximum: 65_535, // what the router filter can number
      default: 2_000,
      description: 'Models that the metrics of Envoy tell apart; the rest is counted together.',
    }),
    force: Type.Boolean({
      default: false,
      description: 'Send Envoys what they are owed even when more than 20 % of what they have would go.',
    }),
    shards: Type.Integer({
      minimum: 1,
      maximum: 4_096,
      default: 256,
      description: 'Route shards in Envoy; the same for every scheduler and the Wasm filter.',
    }),
    schedulerReadyTimeoutSeconds: Type.Number({
      minimum: 0,
      default: 600,
      description: 'How long a start waits for the expected server replicas before it moves their models.',
    }),
    replicaGraceSeconds: Type.Number({
      minimum: 0,
      default: 60,
      description: 'How long a replica may be away before models that have another replica are replaced.',
    }),
    drainTimeMs: Type.Integer({
      minimum: 0,
      default: 2_000,
      description: 'Between the last route away from a replica and the unload: requests in flight.',
    }),
    maxConcurrentMoves: Type.Integer({
      minimum: 1,
      default: 10,
      description: 'How many models may move at a time when replicas are lost.',
    }),
    maxWatches: Type.Integer({
      minimum: 1,
      maximum: 100_000,
      default: 1_000,
      description:
        'Clients that may watch at the same time, over REST and gRPC; more are refused (429, RESOURCE_EXHAUSTED).',
    }),
    instanceId: Type.String({
      minLength: 1,
      default: hostname(),
      description: 'Names this scheduler; the same after a restart, so that it takes its own lease over at once.',
    }),
    leaseTtlMs: Type.Integer({
      minimum: 300,
      default: 3_000,
      description: 'How soon another scheduler takes over when the leader is gone.',
    }),
    logLevel: logLevelOption,
  },
  { additionalProperties: false },
)

export type SchedulerConfig = Readonly<Static<typeof schema>>

export const schedulerProcess: ProcessDefinition<typeof schema> = {
  name: 'scheduler',
  summary: 'The control plane: keeps the state, places models, programs Envoy and instructs agents.',
  schema,
  environmentAliases: { redisUrl: 'REDIS_URL' },
}
