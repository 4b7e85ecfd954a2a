/** A whole Millrace on one machine, as data: which processes run, with which options, in which order. Pure. */
import { toEnvoyArguments } from '../envoy/arguments.ts'
import { toBootstrap } from '../envoy/bootstrap.ts'
import type { MeshPorts } from './ports.ts'
import type { ProcessSpec, Readiness } from './supervisor/spec.ts'

export type RedisPlan =
  { readonly kind: 'external'; readonly url: string } | { readonly kind: 'managed'; readonly binary: string }

export interface MeshOptions {
  /** Command and first arguments that run one of our processes; its name and options follow. */
  readonly millrace: readonly string[]
  /** The same for the model server, which tests replace by their own. */
  readonly modelServer: readonly string[]
  readonly envoyBinary: string
  readonly envoyConcurrency: number
  readonly redis: RedisPlan
  /** Holds `state/`, `models/` and `envoy/`. */
  readonly folder: string
  readonly host: string
  readonly ports: MeshPorts
  readonly serverName: string
  readonly artifactRoots: readonly string[]
  /** Added to the options of every process of that kind. */
  readonly extraFlags: {
    readonly scheduler?: readonly string[]
    readonly agent?: readonly string[]
    readonly modelServer?: readonly string[]
  }
}

export interface MeshPlan {
  /** Must exist before the processes start. */
  readonly folders: readonly string[]
  readonly files: readonly { readonly path: string; readonly content: string }[]
  readonly processes: readonly ProcessSpec[]
}

/** For models, on each replica. */
const MEMORY_BYTES = 1024 ** 3
const READY_TIMEOUT_MS = 30_000
/** Traffic ends first; the store goes last. The times add up to less than the 5 s that stopping may take. */
const STOP = {
  edge: { stopStage: 0, stopTimeoutMs: 500 },
  scheduler: { stopStage: 1, stopTimeoutMs: 1_200 },
  agents: { stopStage: 2, stopTimeoutMs: 1_000 },
  backends: { stopStage: 3, stopTimeoutMs: 1_000 },
} as const

const replicaName = (serverName: string, index: number): string => `${serverName}-${String(index)}`

export function planMesh(options: MeshOptions): MeshPlan {
  const replicas = options.ports.replicas.map((_, index) => replicaName(options.serverName, index))
  return {
    folders: [
      `${options.folder}/state/redis`,
      `${options.folder}/envoy`,
      ...replicas.map((r) => repository(options, r)),
    ],
    files: options.ports.envoys.map((_, index) => ({
      path: bootstrapPath(options, index),
      content: `${JSON.stringify(bootstrapOf(options, index), undefined, 2)}\n`,
    })),
    processes: [
      ...planRedis(options),
      planScheduler(options),
      ...options.ports.envoys.flatMap((_, index) => planEnvoy(options, index)),
      ...replicas.flatMap((_, index) => planReplica(options, index)),
    ],
  }
}

const repository = (options: MeshOptions, replica: string): string => `${options.folder}/models/${replica}`
const bootstrapPath = (options: MeshOptions, index: number): string =>
  `${options.folder}/envoy/envoy-${String(index)}.json`

const redisUrl = (options: MeshOptions): string =>
  options.redis.kind === 'external' ? options.redis.url : `redis://${options.host}:${String(options.ports.redis)}`

const bootstrapOf = (options: MeshOptions, index: number): object =>
  toBootstrap({
    nodeId: `envoy-${String(index)}`,
    xds: [{ address: options.host, port: options.ports.xds }],
    adminPort: options.ports.envoys[index]?.admin ?? 0,
  })

function planRedis(options: MeshOptions): ProcessSpec[] {
  if (options.redis.kind === 'external') return []
  const { host } = options
  const port = options.ports.redis
  return [
    {
      ...STOP.backends,
      name: 'redis',
      command: options.redis.binary,
      args: flags({
        bind: host,
        port,
        dir: `${options.folder}/state/redis`,
        appendonly: 'yes',
        appendfsync: 'always', // what was acknowledged survives a kill
        'maxmemory-policy': 'noeviction',
        save: '',
        daemonize: 'no',
      }),
      environment: {},
      after: [],
      readiness: { kind: 'redis', host, port },
      readyTimeoutMs: READY_TIMEOUT_MS,
    },
  ]
}

function planScheduler(options: MeshOptions): ProcessSpec {
  const { host, ports } = options
  return {
    ...STOP.scheduler,
    ...ours(options, 'scheduler', http(host, ports.schedulerHttp, '/readyz')),
    args: [
      ...options.millrace.slice(1),
      'scheduler',
      ...flags({
        host,
        'redis-url': redisUrl(options),
        'xds-port': ports.xds,
        'grpc-port': ports.schedulerGrpc,
        'agent-port': ports.agents,
        'http-port': ports.schedulerHttp,
        'ingress-port': ports.ingress,
      }),
      ...(options.extraFlags.scheduler ?? []),
    ],
    after: options.redis.kind === 'managed' ? ['redis'] : [],
  }
}

function planEnvoy(options: MeshOptions, index: number): ProcessSpec[] {
  const { host } = options
  const ports = options.ports.envoys[index]
  if (ports === undefined) return []
  const suffix = String(index)
  const envoy: ProcessSpec = {
    ...STOP.edge,
    name: `envoy-${suffix}`,
    command: options.envoyBinary,
    args: toEnvoyArguments({
      bootstrapPath: bootstrapPath(options, index),
      concurrency: options.envoyConcurrency,
      logLevel: 'warning',
    }),
    environment: {},
    after: ['scheduler'],
    readiness: http(host, ports.admin, '/ready'),
    readyTimeoutMs: READY_TIMEOUT_MS,
  }
  const metrics: ProcessSpec = {
    ...STOP.edge,
    ...ours(options, `mesh-metrics-${suffix}`, http(host, ports.metrics, '/healthz')),
    args: [
      ...options.millrace.slice(1),
      'mesh-metrics',
      ...flags({ host, 'http-port': ports.metrics, 'admin-url': `http://${host}:${String(ports.admin)}` }),
    ],
    after: [],
  }
  return [envoy, metrics]
}

function planReplica(options: MeshOptions, index: number): ProcessSpec[] {
  const { host } = options
  const ports = options.ports.replicas[index]
  if (ports === undefined) return []
  const replica = replicaName(options.serverName, index)
  const server: ProcessSpec = {
    ...STOP.backends,
    ...ours(options, replica, http(host, ports.rest, '/v2/health/ready')),
    command: options.modelServer[0] ?? '',
    args: [
      ...options.modelServer.slice(1),
      ...flags({ host, 'rest-port': ports.rest, 'grpc-port': ports.grpc, repository: repository(options, replica) }),
      ...(options.extraFlags.modelServer ?? []),
    ],
    after: [],
  }
  const agent: ProcessSpec = {
    ...STOP.agents,
    ...ours(options, `agent-${replica}`, http(host, ports.agentHttp, '/readyz')),
    args: [
      ...options.millrace.slice(1),
      'agent',
      ...flags({
        host,
        scheduler: `${host}:${String(options.ports.agents)}`,
        'server-name': options.serverName,
        'replica-index': index,
        'server-host': host,
        'server-rest-port': ports.rest,
        'server-grpc-port': ports.grpc,
        repository: repository(options, replica),
        'artifact-roots': options.artifactRoots.join(','),
        'memory-bytes': MEMORY_BYTES,
        'drain-deadline-ms': 0, // all replicas stop together: there is nowhere to move models to
        'http-port': ports.agentHttp,
      }),
      ...(options.extraFlags.agent ?? []),
    ],
    after: [],
  }
  return [server, agent]
}

/** What our own processes have in common. */
function ours(
  options: MeshOptions,
  name: string,
  readiness: Readiness,
): Pick<ProcessSpec, 'name' | 'command' | 'environment' | 'readiness' | 'readyTimeoutMs'> {
  return { name, command: options.millrace[0] ?? '', environment: {}, readiness, readyTimeoutMs: READY_TIMEOUT_MS }
}

const http = (host: string, port: number, path: string): Readiness => ({
  kind: 'http',
  url: `http://${host}:${String(port)}${path}`,
})

const flags = (values: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)])
