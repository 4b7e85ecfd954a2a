/** A whole Millrace on one machine, as data: which processes run, with which options, in which order. Pure. */
import { toEnvoyArguments } from '../envoy/arguments.ts'
import { toBootstrap } from '../envoy/bootstrap.ts'
import { kafkaEnvironment, type KafkaPlan, planKafka } from './kafka-plan.ts'
import type { MeshPorts, PipelineGatewayPorts, WorkerPorts } from './ports.ts'
import { processFlags } from './process-flags.ts'
import {
  type MeshSecurity,
  toBootstrapSecurity,
  toCallerFlags,
  toEnvoyFlags,
  toHealth,
  toListenerFlags,
} from './security.ts'
import type { ServerKind } from './servers/kinds.ts'
import { planReplica } from './servers/replica-plan.ts'
import type { ProcessSpec, Readiness } from './supervisor/spec.ts'

export type RedisPlan =
  { readonly kind: 'external'; readonly url: string } | { readonly kind: 'managed'; readonly binary: string }

export interface CoreOptions {
  /** Command and first arguments that run one of our processes; its name and options follow. */
  readonly millrace: readonly string[]
  readonly envoyBinary: string
  readonly envoyConcurrency: number
  readonly redis: RedisPlan
  /** Absent: pipelines record nothing. */
  readonly kafka?: KafkaPlan
  /** Holds `state/`, `models/` and `envoy/`. */
  readonly folder: string
  readonly host: string
  readonly ports: Omit<MeshPorts, 'replicas'>
  /** Added to the options of every process of that kind. */
  readonly extraFlags: {
    readonly scheduler?: readonly string[]
    readonly pipelineGateway?: readonly string[]
    readonly engine?: readonly string[]
    readonly 'model-gateway'?: readonly string[]
  }
  /** Absent: plain text, and everybody may call. */
  readonly security?: MeshSecurity
}

export interface MeshOptions extends CoreOptions {
  readonly ports: MeshPorts
  /** Command and first arguments of the model server, which tests replace by their own. */
  readonly modelServer: readonly string[]
  readonly serverName: string
  /** Default `embedded`. */
  readonly serverKind?: ServerKind
  readonly artifactRoots: readonly string[]
  readonly extraFlags: CoreOptions['extraFlags'] & {
    readonly agent?: readonly string[]
    readonly modelServer?: readonly string[]
  }
}

export interface PlannedFile {
  readonly path: string
  readonly content: string
  /** Nobody else may read it. */
  readonly secret?: boolean
}

export interface MeshPlan {
  /** Must exist before the processes start. */
  readonly folders: readonly string[]
  readonly files: readonly PlannedFile[]
  readonly processes: readonly ProcessSpec[]
}

const READY_TIMEOUT_MS = 30_000
/** After a kill -9 it reads everything again. */
const KAFKA_READY_TIMEOUT_MS = 120_000
/** Of a pipeline gateway: Envoys are told, then requests end; both within its stop time. */
const GATEWAY_DRAIN_MS = 200
/** Traffic ends first; the store goes last. The times add up to less than the 5 s that stopping may take. */
const STOP = {
  edge: { stopStage: 0, stopTimeoutMs: 500 },
  scheduler: { stopStage: 1, stopTimeoutMs: 1_200 },
  store: { stopStage: 3, stopTimeoutMs: 1_000 }, // after the agents, together with the model servers
} as const

/** Everything but model servers. */
export function planCore(options: CoreOptions): MeshPlan {
  const kafka = plannedKafka(options)
  return {
    folders: [`${options.folder}/state/redis`, `${options.folder}/envoy`, ...(kafka?.folders ?? [])],
    files: [
      ...options.ports.envoys.map((_, index) => ({
        path: bootstrapPath(options, index),
        content: `${JSON.stringify(bootstrapOf(options, index), undefined, 2)}\n`,
        secret: options.security?.token !== undefined,
      })),
      ...(kafka?.files ?? []),
    ],
    processes: [
      ...planRedis(options),
      ...(kafka === undefined ? [] : [kafka.process]),
      planScheduler(options),
      ...options.ports.envoys.flatMap((_, index) => planEnvoy(options, index)),
      ...options.ports.pipelineGateways.map((ports, index) => planPipelineGateway(options, ports, index)),
      ...options.ports.engines.map((ports, index) => planWorker(options, 'engine', ports, index)),
      ...options.ports.modelGateways.map((ports, index) => planWorker(options, 'model-gateway', ports, index)),
    ],
  }
}

/** The broker that is started here, if one is. */
function plannedKafka({ kafka, folder, host, ports }: CoreOptions) {
  if (kafka?.kind !== 'managed' || ports.kafka === undefined) return undefined
  const { java, jars } = kafka
  const { broker: port, controller: controllerPort } = ports.kafka
  const planned = planKafka({ java, jars, folder: `${folder}/state/kafka`, host, port, controllerPort })
  const process: ProcessSpec = {
    ...STOP.store,
    ...planned.process,
    name: 'kafka',
    after: [],
    readyTimeoutMs: KAFKA_READY_TIMEOUT_MS,
  }
  return { ...planned, process }
}

/** Everything, with a fixed number of replicas of one server. */
export function planMesh(options: MeshOptions): MeshPlan {
  const core = planCore(options)
  const replicas = options.ports.replicas.map((ports, index) =>
    planReplica({
      ...options,
      server: options.serverName,
      kind: options.serverKind ?? 'embedded',
      index,
      ports,
      agentsPort: options.ports.agents,
      ingressPort: options.ports.ingress,
      drainDeadlineMs: 0, // all replicas stop together: there is nowhere to move models to
    }),
  )
  return {
    folders: [...core.folders, ...replicas.map(({ repository }) => repository)],
    files: core.files,
    processes: [...core.processes, ...replicas.flatMap(({ modelServer, agent }) => [modelServer, agent])],
  }
}

const bootstrapPath = (options: CoreOptions, index: number): string =>
  `${options.folder}/envoy/envoy-${String(index)}.json`

const redisUrl = (options: CoreOptions): string =>
  options.redis.kind === 'external' ? options.redis.url : `redis://${options.host}:${String(options.ports.redis)}`

const bootstrapOf = (options: CoreOptions, index: number): object =>
  toBootstrap({
    nodeId: `envoy-${String(index)}`,
    xds: [{ address: options.host, port: options.ports.xds }],
    adminPort: options.ports.envoys[index]?.admin ?? 0,
    ...toBootstrapSecurity(options.security),
  })

function planRedis(options: CoreOptions): ProcessSpec[] {
  if (options.redis.kind === 'external') return []
  const { host } = options
  const port = options.ports.redis
  return [
    {
      ...STOP.store,
      name: 'redis',
      command: options.redis.binary,
      args: processFlags({
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

function planScheduler(options: CoreOptions): ProcessSpec {
  const { host, ports } = options
  return {
    ...STOP.scheduler,
    ...ours(options, 'scheduler', toHealth(options.security, host, ports.schedulerHttp, '/readyz')),
    args: [
      ...options.millrace.slice(1),
      'scheduler',
      ...processFlags({
        host,
        'xds-port': ports.xds,
        'grpc-port': ports.schedulerGrpc,
        'agent-port': ports.agents,
        'http-port': ports.schedulerHttp,
        'ingress-port': ports.ingress,
        ...toListenerFlags(options.security),
        ...toEnvoyFlags(options.security),
      }),
      ...(options.extraFlags.scheduler ?? []),
    ],
    environment: { REDIS_URL: redisUrl(options) }, // it may hold a password, and everybody may read command lines
    after: options.redis.kind === 'managed' ? ['redis'] : [],
  }
}

function planEnvoy(options: CoreOptions, index: number): ProcessSpec[] {
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
    readiness: toHealth(undefined, host, ports.admin, '/ready'),
    readyTimeoutMs: READY_TIMEOUT_MS,
  }
  const metrics: ProcessSpec = {
    ...STOP.edge,
    ...ours(options, `mesh-metrics-${suffix}`, toHealth(options.security, host, ports.metrics, '/healthz')),
    args: [
      ...options.millrace.slice(1),
      'mesh-metrics',
      ...processFlags({
        host,
        'http-port': ports.metrics,
        'admin-url': `http://${host}:${String(ports.admin)}`,
        ...toListenerFlags(options.security),
        scheduler: `${host}:${String(options.ports.agents)}`,
        ...toCallerFlags(options.security),
      }),
    ],
    after: [],
  }
  return [envoy, metrics]
}

/** It knows its pipelines from the last run, so it serves before a scheduler answers. */
function planPipelineGateway(options: CoreOptions, ports: PipelineGatewayPorts, index: number): ProcessSpec {
  const { host } = options
  const name = `pipeline-gateway-${String(index)}`
  return {
    ...STOP.edge,
    ...ours(options, name, toHealth(options.security, host, ports.http, '/readyz')),
    environment: kafkaEnvironment(options),
    args: [
      ...options.millrace.slice(1),
      'pipeline-gateway',
      ...processFlags({
        name,
        host,
        scheduler: `${host}:${String(options.ports.agents)}`,
        ingress: ingressUrl(options),
        'rest-port': ports.rest,
        'grpc-port': ports.grpc,
        'http-port': ports.http,
        'plans-file': `${options.folder}/state/${name}/pipelines.json`,
        'drain-timeout-ms': GATEWAY_DRAIN_MS,
        'journal-spill-file': `${options.folder}/state/${name}/journal-spill`,
        ...toListenerFlags(options.security),
        ...toCallerFlags(options.security),
      }),
      ...(options.extraFlags.pipelineGateway ?? []),
    ],
    after: [],
  }
}

/** Of what each was assigned last. */
const HELD_FILE = {
  engine: { flag: 'plans-file', name: 'pipelines.json' },
  'model-gateway': { flag: 'units-file', name: 'models.json' },
} as const

/** One that reads from Kafka what the scheduler assigns to it, and goes on with what it last had. */
function planWorker(
  options: CoreOptions,
  kind: keyof typeof HELD_FILE,
  ports: WorkerPorts,
  index: number,
): ProcessSpec {
  const { host } = options
  const name = `${kind}-${String(index)}`
  return {
    ...STOP.edge,
    ...ours(options, name, toHealth(options.security, host, ports.http, '/readyz')),
    environment: kafkaEnvironment(options),
    args: [
      ...options.millrace.slice(1),
      kind,
      ...processFlags({
        name,
        host,
        scheduler: `${host}:${String(options.ports.agents)}`,
        ingress: ingressUrl(options),
        'http-port': ports.http,
        [HELD_FILE[kind].flag]: `${options.folder}/state/${name}/${HELD_FILE[kind].name}`,
        'drain-timeout-ms': GATEWAY_DRAIN_MS,
        'journal-spill-file': `${options.folder}/state/${name}/journal-spill`,
        ...toListenerFlags(options.security),
        ...toCallerFlags(options.security),
      }),
      ...(options.extraFlags[kind] ?? []),
    ],
    after: [],
  }
}

const ingressUrl = ({ security, host, ports }: CoreOptions): string =>
  `${security?.tls?.ingress === true ? 'https' : 'http'}://${host}:${String(ports.ingress)}`

/** What our own processes have in common. */
function ours(
  options: CoreOptions,
  name: string,
  readiness: Readiness,
): Pick<ProcessSpec, 'name' | 'command' | 'environment' | 'readiness' | 'readyTimeoutMs'> {
  return { name, command: options.millrace[0] ?? '', environment: {}, readiness, readyTimeoutMs: READY_TIMEOUT_MS }
}
