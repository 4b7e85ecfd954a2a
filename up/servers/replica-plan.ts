/** One server replica, as data: a model server with its agent, on ports and in a folder of their own. Pure. */
import { processFlags } from '../process-flags.ts'
import type { ReplicaPorts } from '../ports.ts'
import type { ProcessSpec } from '../supervisor/spec.ts'
import { type MeshSecurity, toCallerFlags, toHealth, toListenerFlags, toTlsFlags } from '../security.ts'
import type { ServerKind } from './kinds.ts'
import { mlserverEnvironment } from './mlserver-environment.ts'

export interface ReplicaOptions {
  readonly server: string
  readonly kind: ServerKind
  readonly index: number
  readonly ports: ReplicaPorts
  /** Command and first arguments of one of our own processes; its name and options follow. */
  readonly millrace: readonly string[]
  /** The same for this kind of model server. */
  readonly modelServer: readonly string[]
  readonly host: string
  /** Holds `models/`. */
  readonly folder: string
  /** Of the scheduler, for agents. */
  readonly agentsPort: number
  /** Of Envoy, for explainers. */
  readonly ingressPort: number
  readonly artifactRoots: readonly string[]
  /** What models may require of it; absent: what its kind offers. */
  readonly capabilities?: readonly string[]
  /** How long its agent waits for models to be moved away when it stops; 0: not at all. */
  readonly drainDeadlineMs: number
  /** Absent: plain text, and everybody may call. */
  readonly security?: MeshSecurity
  readonly extraFlags: { readonly agent?: readonly string[]; readonly modelServer?: readonly string[] }
}

export interface ReplicaPlan {
  /** Shared by the two; must exist before they start. */
  readonly repository: string
  readonly modelServer: ProcessSpec
  readonly agent: ProcessSpec
}

/** For models, on each replica. */
const MEMORY_BYTES = 1024 ** 3
const READY_TIMEOUT_MS = 30_000
/** Python and its libraries take their time, several at once more of it. */
const MLSERVER_READY_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 1_000
/** Of requests in its proxy; within the stop time of an agent. */
const PROXY_DRAIN_MS = 500
/** After Envoy (0) and the scheduler (1): without a scheduler an agent does not drain. */
const STOP_STAGE = { agent: 2, modelServer: 3 } as const

/** Names of its processes and their logs; the first is that of its repository, too. */
export const modelServerName = (server: string, index: number): string => `${server}-${String(index)}`
export const agentName = (server: string, index: number): string => `agent-${modelServerName(server, index)}`

export function planReplica(options: ReplicaOptions): ReplicaPlan {
  const repository = `${options.folder}/models/${modelServerName(options.server, options.index)}`
  return {
    repository,
    modelServer: planModelServer(options, repository),
    agent: planAgent(options, repository),
  }
}

/** MLServer knows plain text only. */
const speaksTls = ({ kind, security }: ReplicaOptions): boolean => kind === 'embedded' && security?.tls !== undefined

function planModelServer(options: ReplicaOptions, repository: string): ProcessSpec {
  const { host, ports } = options
  const [command = '', ...first] = options.modelServer
  const common = {
    name: modelServerName(options.server, options.index),
    command,
    after: [],
    readiness: toHealth(speaksTls(options) ? options.security : undefined, host, ports.rest, '/v2/health/ready'),
    stopStage: STOP_STAGE.modelServer,
    stopTimeoutMs: STOP_TIMEOUT_MS,
  } as const
  switch (options.kind) {
    case 'embedded':
      return {
        ...common,
        args: [
          ...first,
          ...processFlags({
            host,
            'rest-port': ports.rest,
            'grpc-port': ports.grpc,
            repository,
            ...toTlsFlags(options.security),
          }),
          ...(options.extraFlags.modelServer ?? []),
        ],
        environment: {},
        readyTimeoutMs: READY_TIMEOUT_MS,
      }
    case 'mlserver':
      return {
        ...common,
        args: [...first, 'start', repository, ...(options.extraFlags.modelServer ?? [])],
        environment: mlserverEnvironment({ host, ports, repository }),
        readyTimeoutMs: MLSERVER_READY_TIMEOUT_MS,
      }
  }
}

function planAgent(options: ReplicaOptions, repository: string): ProcessSpec {
  const { host, ports, server, index } = options
  const [command = '', ...first] = options.millrace
  return {
    name: agentName(server, index),
    command,
    args: [
      ...first,
      'agent',
      ...processFlags({
        host,
        scheduler: `${host}:${String(options.agentsPort)}`,
        'server-name': server,
        'server-type': options.kind,
        'replica-index': index,
        'server-host': host,
        'server-rest-port': ports.rest,
        'server-grpc-port': ports.grpc,
        repository,
        'artifact-roots': options.artifactRoots.join(','),
        'ingress-url': `${options.security?.tls?.ingress === true ? 'https' : 'http'}://${host}:${String(options.ingressPort)}`,
        'memory-bytes': MEMORY_BYTES,
        'drain-deadline-ms': options.drainDeadlineMs,
        'http-port': ports.agentHttp,
        'proxy-rest-port': ports.proxyRest,
        'proxy-grpc-port': ports.proxyGrpc,
        'proxy-drain-deadline-ms': PROXY_DRAIN_MS,
        ...(options.capabilities === undefined ? {} : { capabilities: options.capabilities.join(',') }),
        ...toListenerFlags(options.security),
        ...toCallerFlags(options.security),
      }),
      ...(speaksTls(options) ? ['--server-tls'] : []),
      ...(options.extraFlags.agent ?? []),
    ],
    environment: {},
    after: [],
    readiness: toHealth(options.security, host, ports.agentHttp, '/readyz'),
    readyTimeoutMs: READY_TIMEOUT_MS,
    stopStage: STOP_STAGE.agent,
    stopTimeoutMs: STOP_TIMEOUT_MS,
  }
}
