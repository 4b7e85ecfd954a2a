/**
 * A whole Millrace for end-to-end tests and benches: the processes of `millrace up`, from the same plan, on free ports in a folder
 * of its own. Every child can be killed, stopped and started again by name:
 * `redis`, `scheduler`, `envoy-0`, `mesh-metrics-0`, `embedded-0` (model server), `agent-embedded-0`, ...
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServerResource } from '../../api/resources/resource.ts'
import { type AdminClient, createAdminClient } from '../../cli/client/admin-client.ts'
import { loadCallerSecurity } from '../../kit/grpc-security.ts'
import { silentLogger } from '../../kit/log.ts'
import { packageRoot } from '../../kit/root.ts'
import { planMesh } from '../../up/plan.ts'
import type { MeshPorts } from '../../up/ports.ts'
import { type MeshSecurity, toCallers } from '../../up/security.ts'
import { prepareFolder } from '../../up/state-folder.ts'
import type { Child } from '../../up/supervisor/child.ts'
import { logTail } from '../../up/supervisor/log-file.ts'
import { waitReady } from '../../up/supervisor/readiness.ts'
import type { ProcessSpec } from '../../up/supervisor/spec.ts'
import { createSupervisor } from '../../up/supervisor/supervisor.ts'
import { endAbandoned, ownFolder } from './abandoned-meshes.ts'
import { freePorts } from './free-ports.ts'
import { MILLRACE, testProgram } from './programs.ts'
import { testMlserver } from './tools.ts'

export interface TestMeshOptions {
  /** Model servers, each with its agent. Default 2; they are declared as expected by a Server resource. */
  readonly replicas?: number
  /**
   * `test` is test/support/test-model-server.ts, whose models can be told how to behave; `mlserver` is the real one; else
   * a command that takes the options of `embedded`, the default.
   */
  readonly modelServer?: 'embedded' | 'test' | 'mlserver' | readonly string[]
  readonly envoys?: number
  /** Default 0. */
  readonly pipelineGateways?: number
  /** Default 0; they need `engineFlags` that name a Kafka. */
  readonly engines?: number
  /** Default 2. */
  readonly envoyConcurrency?: number
  /** Default: the name of its kind. */
  readonly serverName?: string
  /** Of its Server. */
  readonly dataPath?: 'direct' | 'agent'
  /** Children that are started again when they die, as `millrace up` does it. Default none. */
  readonly restarts?: (name: string) => boolean
  /** More options, as `['--replica-grace-seconds', '2']`. */
  readonly schedulerFlags?: readonly string[]
  readonly agentFlags?: readonly string[]
  /** Of every process. */
  readonly security?: MeshSecurity
  readonly modelServerFlags?: readonly string[]
  readonly pipelineGatewayFlags?: readonly string[]
  readonly engineFlags?: readonly string[]
  /** Default 0; they need `modelGatewayFlags` that name a Kafka. */
  readonly modelGateways?: number
  readonly modelGatewayFlags?: readonly string[]
  /** Default: the repository and the mesh's folder. */
  readonly artifactRoots?: readonly string[]
  /** Children that are not started with the others; `mesh.start(name)` does. */
  readonly absent?: readonly string[]
  /** Processes beside those of the plan; killed, started and logged like them. */
  readonly moreProcesses?: (ports: MeshPorts, folder: string) => readonly ProcessSpec[]
}

export interface TestMesh {
  /** Temporary; gone after `stop`. Model artefacts may be written here. */
  readonly folder: string
  readonly ports: MeshPorts
  /** `127.0.0.1:port`. Several Envoys share it; a connection lands on any, a frozen one too. */
  readonly ingress: string
  /** `127.0.0.1:port` of the scheduler's gRPC API. */
  readonly scheduler: string
  readonly redisUrl: string
  readonly admin: AdminClient
  readonly childNames: readonly string[]
  pid(name: string): number
  isRunning(name: string): boolean
  /** SIGKILL, and waits until it is gone. */
  kill(name: string): Promise<void>
  /** SIGTERM, then SIGKILL after `withinMs`, and waits; it is not started again by itself. */
  terminate(name: string, withinMs?: number): Promise<void>
  /** SIGSTOP. */
  freeze(name: string): void
  /** SIGCONT. */
  thaw(name: string): void
  /** Starts a child that was killed, terminated or absent, and waits until it serves. */
  start(name: string): Promise<void>
  /** Waits until a child that restarts by itself serves again. */
  untilReady(name: string, timeoutMs?: number): Promise<void>
  log(name: string): string
  /** The last lines of every child's log. */
  logTails(): string
  /** Ends every child and removes the folder. */
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const FOLDER_PREFIX = 'millrace-mesh-'
const RESTART_TIMEOUT_MS = 60_000

export async function startMesh(options: TestMeshOptions = {}): Promise<TestMesh> {
  await endAbandoned(tmpdir(), FOLDER_PREFIX)
  const folder = mkdtempSync(join(tmpdir(), FOLDER_PREFIX))
  ownFolder(folder)
  const ports = await freeMeshPorts(options.envoys ?? 1, options)
  const serverKind = options.modelServer === 'mlserver' ? 'mlserver' : 'embedded'
  const serverName = options.serverName ?? serverKind
  const plan = planMesh({
    millrace: millraceCommand,
    modelServer: await modelServerCommand(options.modelServer ?? 'embedded'),
    serverKind,
    envoyBinary: fromSetup('MILLRACE_TEST_ENVOY'),
    envoyConcurrency: options.envoyConcurrency ?? 2,
    redis: { kind: 'managed', binary: fromSetup('MILLRACE_TEST_REDIS') },
    folder,
    host: HOST,
    ports,
    serverName,
    artifactRoots: options.artifactRoots ?? [packageRoot, folder],
    extraFlags: {
      scheduler: options.schedulerFlags ?? [],
      agent: options.agentFlags ?? [],
      modelServer: options.modelServerFlags ?? [],
      pipelineGateway: options.pipelineGatewayFlags ?? [],
      engine: options.engineFlags ?? [],
      'model-gateway': options.modelGatewayFlags ?? [],
    },
    ...(options.security && { security: options.security }),
  })
  prepareFolder(plan)
  const absent = new Set(options.absent ?? [])
  const specs = [...plan.processes, ...(options.moreProcesses?.(ports, folder) ?? [])]
  const supervisor = createSupervisor({
    specs,
    absent,
    logsDir: join(folder, 'logs'),
    pidsDir: join(folder, 'run'),
    restarts: options.restarts ?? (() => false),
    onEvent: () => undefined,
  })
  const killAll = (): void => {
    supervisor.killAll()
  }
  process.once('exit', killAll) // a worker that vitest ends early
  const admin = createAdminClient(
    `${HOST}:${String(ports.schedulerGrpc)}`,
    undefined,
    loadCallerSecurity(toCallers(options.security ?? {}), silentLogger),
  )
  const childNames = specs.map((spec) => spec.name)

  const mesh: TestMesh = {
    folder,
    ports,
    ingress: `${HOST}:${String(ports.ingress)}`,
    scheduler: `${HOST}:${String(ports.schedulerGrpc)}`,
    redisUrl: `redis://${HOST}:${String(ports.redis)}`,
    admin,
    childNames,
    pid: (name) => running(supervisor.child(name)),
    isRunning: (name) => supervisor.child(name).pid !== undefined,
    kill: async (name) => {
      const child = supervisor.child(name)
      const gone = child.exited()
      running(child)
      child.signal('SIGKILL')
      await gone
    },
    terminate: (name, withinMs) => supervisor.child(name).stop(withinMs),
    freeze: (name) => {
      running(supervisor.child(name))
      supervisor.child(name).signal('SIGSTOP')
    },
    thaw: (name) => {
      supervisor.child(name).signal('SIGCONT')
    },
    start: (name) => supervisor.child(name).start(),
    untilReady: async (name, timeoutMs = RESTART_TIMEOUT_MS) => {
      const outcome = await waitReady(supervisor.child(name).spec.readiness, timeoutMs, AbortSignal.timeout(timeoutMs))
      if (outcome !== 'ready')
        throw new Error(`${name} was not ready within ${String(timeoutMs)} ms\n${mesh.logTails()}`)
    },
    log: (name) => readFileSync(supervisor.child(name).logPath, 'utf8'),
    logTails: () => childNames.map((name) => `--- ${name}\n${logTail(supervisor.child(name).logPath)}`).join('\n'),
    stop: async () => {
      admin.close()
      await supervisor.stop()
      process.off('exit', killAll)
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await supervisor.start()
    if (!absent.has('scheduler'))
      await declareServer(admin, serverName, {
        replicas: ports.replicas.length,
        ...(options.dataPath === undefined ? {} : { dataPath: options.dataPath }),
      })
    return mesh
  } catch (error) {
    await mesh.stop()
    throw error
  }
}

const millraceCommand = [process.execPath, MILLRACE]
const testModelServerCommand = [process.execPath, testProgram('test-model-server')]

async function modelServerCommand(kind: NonNullable<TestMeshOptions['modelServer']>): Promise<readonly string[]> {
  if (kind === 'embedded') return [...millraceCommand, 'model-server']
  if (kind === 'mlserver') return [await testMlserver()]
  return kind === 'test' ? testModelServerCommand : kind
}

function fromSetup(name: string): string {
  const path = process.env[name]
  if (path === undefined) throw new Error(`${name} is not set: vitest's global set-up and the benches set it`)
  return path
}

function running(child: Child): number {
  if (child.pid === undefined) throw new Error(`${child.spec.name} does not run`)
  return child.pid
}

async function declareServer(admin: AdminClient, name: string, spec: ServerResource['spec']): Promise<void> {
  await admin.apply({ apiVersion: 'mlops.seldon.io/v1alpha1', kind: 'Server', metadata: { name }, spec })
}

async function freeMeshPorts(envoys: number, options: TestMeshOptions): Promise<MeshPorts> {
  const { replicas = 2, pipelineGateways: gateways = 0, engines = 0, modelGateways = 0 } = options
  const ports = await freePorts(6 + 2 * envoys + 5 * replicas + 3 * gateways + engines + modelGateways)
  const next = (): number => {
    const port = ports.pop()
    if (port === undefined) throw new Error('too few ports were asked for')
    return port
  }
  return {
    ingress: next(),
    redis: next(),
    xds: next(),
    schedulerGrpc: next(),
    agents: next(),
    schedulerHttp: next(),
    envoys: Array.from({ length: envoys }, () => ({ admin: next(), metrics: next() })),
    pipelineGateways: Array.from({ length: gateways }, () => ({ rest: next(), grpc: next(), http: next() })),
    engines: Array.from({ length: engines }, () => ({ http: next() })),
    modelGateways: Array.from({ length: modelGateways }, () => ({ http: next() })),
    replicas: Array.from({ length: replicas }, () => ({
      rest: next(),
      grpc: next(),
      agentHttp: next(),
      proxyRest: next(),
      proxyGrpc: next(),
    })),
  }
}
