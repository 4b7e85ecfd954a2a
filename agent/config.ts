import { type Static, Type } from 'typebox'
import type { ProcessDefinition } from '../kit/config.ts'
import { logLevelOption } from '../kit/options.ts'
import { callerOptions, listenerOptions } from '../kit/security.ts'
import { NAME_SOURCES, SERVER_TYPES } from './repository/server-types.ts'

const port = (description: string) => Type.Integer({ minimum: 0, maximum: 65_535, description })
const milliseconds = (standard: number, minimum: number, description: string) =>
  Type.Integer({ minimum, default: standard, description })

const schema = Type.Object(
  {
    scheduler: Type.String({
      minLength: 1,
      default: '127.0.0.1:9005',
      description: 'Address of the scheduler for agents.',
    }),
    serverName: Type.String({
      minLength: 1,
      default: 'embedded',
      description: 'Name of the Server that this replica belongs to.',
    }),
    replicaIndex: Type.Integer({ minimum: 0, default: 0, description: 'Which replica of the Server this is.' }),
    serverType: Type.Enum([...SERVER_TYPES], {
      default: 'embedded',
      description: `Kind of the model server: ${SERVER_TYPES.join(', ')}.`,
    }),
    nameSource: Type.Enum([...NAME_SOURCES], {
      default: 'server-type',
      description:
        'Where the model server reads the versioned model name: header (seldon-internal-model), or message (the path or gRPC message, which Envoy then rewrites); server-type: as that kind of server does.',
    }),
    serverHost: Type.String({
      minLength: 1,
      default: '127.0.0.1',
      description: 'IP address of the model server, as the agent and Envoy reach it.',
    }),
    serverRestPort: port('Port of the model server for REST.'),
    serverGrpcPort: port('Port of the model server for gRPC.'),
    serverTls: Type.Boolean({
      default: false,
      description: 'The model server speaks TLS: its certificate must be of --ca, and it is shown --cert.',
    }),
    repository: Type.String({
      minLength: 1,
      description: 'Folder shared with the model server, one folder per model.',
    }),
    artifactRoots: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description: 'Folders that artefacts may come from, subfolders included; empty refuses all.',
    }),
    ingressUrl: Type.String({
      pattern: '^https?://[^/]+/?$',
      default: 'http://127.0.0.1:9000',
      description: 'The ingress as the model server reaches it: where explainers ask the models that they explain.',
    }),
    memoryBytes: Type.Integer({ minimum: 0, description: 'Memory for models on this replica.' }),
    overcommitPercentage: Type.Integer({
      minimum: 0,
      maximum: 0,
      default: 0,
      description: 'Memory that may be promised beyond that; 0 for now.',
    }),
    capabilities: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description: 'What models may require of this replica; empty takes those of the server type.',
    }),
    extraCapabilities: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description:
        'What models may require beyond that, as javascript of an embedded server that runs with --javascript-models.',
    }),
    healthIntervalMs: milliseconds(200, 20, 'Pause between two health checks of the model server.'),
    healthDeadlineMs: milliseconds(1_000, 20, 'How long one health check may take.'),
    auditIntervalMs: milliseconds(10_000, 100, 'Pause between two looks at what the model server has loaded.'),
    loadDeadlineMs: milliseconds(600_000, 100, 'How long the model server may take to load a model.'),
    unloadDeadlineMs: milliseconds(60_000, 100, 'How long the model server may take to unload a model.'),
    maxParallelLoads: Type.Integer({ minimum: 1, maximum: 64, default: 4, description: 'Models loaded at once.' }),
    drainDeadlineMs: milliseconds(
      10_000,
      0,
      'How long a stopping agent waits for its models to be moved; 0: not at all.',
    ),
    proxyRestPort: {
      ...port('Port of the reverse proxy for REST, the way to models with dataPath: agent; 0 takes a free one.'),
      default: 0,
    },
    proxyGrpcPort: { ...port('The same for gRPC.'), default: 0 },
    proxyMaxConnections: Type.Integer({
      minimum: 1,
      maximum: 65_536,
      default: 256,
      description: 'Connections that the proxy opens to the model server for REST, and takes from Envoys for gRPC.',
    }),
    proxyMaxRequests: Type.Integer({
      minimum: 1,
      maximum: 65_536,
      default: 1_024,
      description: 'Requests in the proxy, waiting ones included; those beyond are refused (429, RESOURCE_EXHAUSTED).',
    }),
    proxyDrainDeadlineMs: milliseconds(
      10_000,
      0,
      'How long requests in the proxy may take when the agent stops, after its models were moved.',
    ),
    ...listenerOptions,
    ...callerOptions,
    host: Type.String({
      minLength: 1,
      default: '127.0.0.1',
      description: "Host of the agent's own HTTP port and of its proxy, which Envoy asks at --server-host.",
    }),
    httpPort: port('Port for /healthz, /readyz and /metrics.'),
    logLevel: logLevelOption,
  },
  { additionalProperties: false },
)

export type AgentConfig = Readonly<Static<typeof schema>>

export const agentProcess: ProcessDefinition<typeof schema> = {
  name: 'agent',
  summary: 'Beside one model server: fetches artefacts, loads and unloads models, watches health.',
  schema,
}
