/** What is compared: the instant server alone, behind a plain Envoy, and behind a whole Millrace. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelResource } from '../../api/resources/resource.ts'
import { createAdminClient } from '../../cli/client/admin-client.ts'
import { ServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import { freePorts } from '../../test/support/free-ports.ts'
import { planMesh } from '../../up/plan.ts'
import { createProgress } from '../../up/progress.ts'
import { prepareFolder } from '../../up/state-folder.ts'
import { createSupervisor } from '../../up/supervisor/supervisor.ts'
import { findEnvoy, findRedisServer } from '../../up/tools/find-tools.ts'
import type { NativeTools } from './native.ts'
import { toPlainBootstrap } from './plain-envoy.ts'

const HOST = '127.0.0.1'
const MODEL = 'iris'
const AVAILABLE_DEADLINE_MS = 30_000
const SETUP_DEADLINE_MS = 900_000

export interface Contender {
  readonly name: 'direct' | 'plain' | 'millrace'
  readonly rest: string
  readonly grpc: string
  /** The process whose CPU is charged; none for the server alone. */
  readonly envoyPid: number | undefined
}

export interface Arena {
  readonly contenders: readonly Contender[]
  /** Everything else that runs: shares the second core with server and load. */
  readonly otherPids: readonly number[]
  stop(): Promise<void>
}

/** Starts all of it on free ports in a folder of its own. `nameSource` decides whether Millrace rewrites messages. */
export async function openArena(tools: NativeTools, nameSource: 'header' | 'message'): Promise<Arena> {
  const context = {
    toolsDir: join(packageRoot, '.millrace'),
    environment: process.env,
    signal: AbortSignal.timeout(SETUP_DEADLINE_MS),
    progress: createProgress(process.stderr, process.env),
  }
  const envoyBinary = await findEnvoy(context)
  const redisBinary = await findRedisServer(context)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
  const [
    redis = 0,
    xds = 0,
    schedulerGrpc = 0,
    agents = 0,
    schedulerHttp = 0,
    ingress = 0,
    admin = 0,
    metrics = 0,
    rest = 0,
    grpc = 0,
    agentHttp = 0,
    plainIngress = 0,
    plainAdmin = 0,
  ] = await freePorts(13)
  const plan = planMesh({
    millrace: [process.execPath, join(packageRoot, 'dist/bin/millrace.js')],
    modelServer: [tools.server],
    envoyBinary,
    envoyConcurrency: 1,
    redis: { kind: 'managed', binary: redisBinary },
    folder,
    host: HOST,
    ports: {
      redis,
      xds,
      schedulerGrpc,
      agents,
      schedulerHttp,
      ingress,
      envoys: [{ admin, metrics }],
      replicas: [{ rest, grpc, agentHttp }],
    },
    serverName: 'embedded',
    artifactRoots: [packageRoot],
    extraFlags: { agent: ['--name-source', nameSource] },
  })
  prepareFolder(plan)
  const bootstrapPath = join(folder, 'envoy', 'plain.json')
  writeFileSync(
    bootstrapPath,
    toPlainBootstrap({ ingressPort: plainIngress, adminPort: plainAdmin, restPort: rest, grpcPort: grpc }),
  )
  const millraceEnvoy = plan.processes.find((spec) => spec.name === 'envoy-0')
  if (millraceEnvoy === undefined) throw new ServingError('INVARIANT_BROKEN', 'the plan has no Envoy')
  const plainEnvoy = {
    ...millraceEnvoy,
    name: 'plain-envoy',
    args: millraceEnvoy.args.map((argument) => (argument.endsWith('envoy-0.json') ? bootstrapPath : argument)),
    after: [],
    readiness: { kind: 'http', url: `http://${HOST}:${String(plainAdmin)}/ready` } as const,
  }
  const supervisor = createSupervisor({
    specs: [...plan.processes, plainEnvoy],
    logsDir: join(folder, 'logs'),
    pidsDir: join(folder, 'run'),
    restarts: () => false,
    onEvent: () => undefined,
  })
  const stop = async (): Promise<void> => {
    await supervisor.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await supervisor.start()
    await applyModel(`${HOST}:${String(schedulerGrpc)}`)
  } catch (error) {
    await stop()
    throw error
  }
  const pid = (name: string): number => supervisor.child(name).pid ?? 0
  const behind = (port: number): { rest: string; grpc: string } => ({
    rest: `${HOST}:${String(port)}`,
    grpc: `${HOST}:${String(port)}`,
  })
  return {
    contenders: [
      { name: 'direct', rest: `${HOST}:${String(rest)}`, grpc: `${HOST}:${String(grpc)}`, envoyPid: undefined },
      { name: 'plain', ...behind(plainIngress), envoyPid: pid('plain-envoy') },
      { name: 'millrace', ...behind(ingress), envoyPid: pid('envoy-0') },
    ],
    otherPids: plan.processes.filter((spec) => spec.name !== 'envoy-0').map((spec) => pid(spec.name)),
    stop,
  }
}

async function applyModel(scheduler: string): Promise<void> {
  const admin = createAdminClient(scheduler)
  const deadline = AbortSignal.timeout(AVAILABLE_DEADLINE_MS)
  const model: ModelResource = {
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Model',
    metadata: { name: MODEL },
    spec: { storageUri: join(packageRoot, 'samples/iris/model'), memory: 100_000 },
  } as unknown as ModelResource
  try {
    await admin.apply(model)
    for await (const event of admin.watch('Model', MODEL, deadline))
      if (
        event.kind === 'state' &&
        (event.resource.status as { state?: string } | undefined)?.state === 'ModelAvailable'
      )
        return
  } finally {
    admin.close()
  }
  throw new ServingError(
    'LOAD_TIMEOUT',
    `model ${MODEL} was not available within ${String(AVAILABLE_DEADLINE_MS / 1000)} s`,
  )
}
