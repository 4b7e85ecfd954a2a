/** The steps of `millrace up`, in order; each says on standard error what it does and how long it took. */
import { statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import type { Static } from 'typebox'
import { type AdminClient, createAdminClient } from '../cli/client/admin-client.ts'
import { isKafkaGiven, loadKafkaConnection } from '../dataflow/kafka/connection.ts'
import { sharedConcurrency } from '../envoy/arguments.ts'
import { ServingError } from '../kit/errors.ts'
import { loadCallerSecurity, loadCallerTls } from '../kit/grpc-security.ts'
import { silentLogger } from '../kit/log.ts'
import { packageRoot } from '../kit/root.ts'
import type { upDefinition } from './config.ts'
import type { KafkaPlan } from './kafka-plan.ts'
import { planCore, type RedisPlan } from './plan.ts'
import { checkPortsFree } from './port-check.ts'
import { enginePorts, kafkaPorts, modelGatewayPorts, type MeshPorts, portUses, standardPorts } from './ports.ts'
import type { Progress } from './progress.ts'
import { applySample, applySamplePipeline, inferSample, type Ingress } from './sample.ts'
import { loadMeshSecurity, type MeshSecurity, toCallers } from './security.ts'
import { parseServers } from './servers/kinds.ts'
import { createLocalServers, initialPortUses, type LocalServers } from './servers/local-servers.ts'
import { openStateFolder, prepareFolder, type StateFolder, wipeState } from './state-folder.ts'
import { type SampleOutcome, summaryText } from './summary.ts'
import type { ChildEvent } from './supervisor/child.ts'
import { waitReady } from './supervisor/readiness.ts'
import { createSupervisor, type Supervisor } from './supervisor/supervisor.ts'
import { findEnvoy, findRedisServer, type ToolsContext } from './tools/find-tools.ts'
import { findKafka } from './tools/kafka.ts'

export type UpConfig = Readonly<Static<typeof upDefinition.schema>>

export interface UpDeps {
  readonly progress: Progress
  readonly environment: NodeJS.ProcessEnv
  /** Aborts when the user wants to stop. */
  readonly stop: AbortSignal
  /** Aborts when the user cannot wait for an orderly stop. */
  readonly kill: AbortSignal
  readonly print: (text: string) => void
}

const HOST = '127.0.0.1'
/** Command and first argument of our own processes. */
const MILLRACE = [process.execPath, join(packageRoot, 'dist/bin/millrace.js')]
/** Until a Server is applied. */
const FIRST_SERVERS = 'embedded=2'
const REDIS_DEADLINE_MS = 5_000
const DEFAULT_REDIS_PORT = 6379

/** Runs until `stop`, or with `--once` until the sample was answered. Whatever happens, no process stays behind. */
export async function runUp(config: UpConfig, deps: UpDeps): Promise<void> {
  if (config.fresh && config.redisUrl !== '')
    throw new ServingError(
      'CONFIG_INVALID',
      '--fresh: the Redis of REDIS_URL is not ours to wipe; name another database of it (redis://host:port/1), or unset one of the two',
    )
  const folder = await openStateFolder(resolve(config.stateDir), deps.stop)
  try {
    if (folder.ended.length > 0) deps.progress.line(`ended what an earlier start left: ${folder.ended.join(', ')}`)
    if (config.fresh) wipeState(folder.path)
    await runIn(folder, config, deps)
  } finally {
    folder.release()
  }
}

async function runIn(folder: StateFolder, config: UpConfig, deps: UpDeps): Promise<void> {
  const asked = parseServers(config.servers ?? FIRST_SERVERS)
  const security = loadMeshSecurity(config)
  const callers = toCallers(security)
  const artifactRoots = config.artifactRoots.map(toFolder)
  const ports: MeshPorts = {
    ...standardPorts(config.portOffset, 0, config.pipelineGateways),
    ...(startsKafka(config) ? { kafka: kafkaPorts(config.portOffset) } : {}),
    engines: usesKafka(config) ? [enginePorts(config.portOffset)] : [],
    modelGateways: usesKafka(config) ? [modelGatewayPorts(config.portOffset)] : [],
  }
  await checkPortsFree(
    [
      ...portUses(ports).filter(({ port }) => config.redisUrl === '' || port !== ports.redis),
      ...initialPortUses(asked, config.portOffset),
    ],
    HOST,
  )
  const tools: ToolsContext = {
    toolsDir: resolve(config.toolsDir),
    environment: deps.environment,
    signal: deps.stop,
    progress: deps.progress,
  }
  const supervisor = await planAndSupervise(folder, ports, config, security, tools, deps)
  const admin = createAdminClient(
    `${HOST}:${String(ports.schedulerGrpc)}`,
    undefined,
    loadCallerSecurity(callers, silentLogger),
  )
  const servers = createLocalServers({
    admin,
    supervisor,
    asked,
    isAskedNow: config.servers !== undefined,
    tools,
    host: HOST,
    folder: folder.path,
    portOffset: config.portOffset,
    agentsPort: ports.agents,
    ingressPort: ports.ingress,
    artifactRoots,
    javascriptModels: config.javascriptModels,
    security,
    millrace: MILLRACE,
    tell: deps.progress.line,
  })
  const killAll = (): void => {
    supervisor.killAll()
  }
  deps.kill.addEventListener('abort', killAll)
  try {
    await servers.prepare()
    await startAll(supervisor, servers, deps)
    deps.print(await orStopped(deps.stop, useIt(folder, ports, admin, servers, security, config, deps)))
    if (!config.once) {
      servers.follow()
      await untilStopped(deps)
    }
  } finally {
    await deps.progress.step('stopping', () => Promise.all([servers.stop(), supervisor.stop()]))
    admin.close()
    deps.kill.removeEventListener('abort', killAll)
  }
}

/** @throws ServingError CONFIG_INVALID */
function toFolder(root: string): string {
  const path = resolve(root)
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return path
  throw new ServingError('CONFIG_INVALID', `--artifact-roots: ${path} is no folder`)
}

async function planAndSupervise(
  folder: StateFolder,
  ports: MeshPorts,
  config: UpConfig,
  security: MeshSecurity,
  tools: ToolsContext,
  deps: UpDeps,
): Promise<Supervisor> {
  const kafka = await planKafkaUse(config, tools)
  const plan = planCore({
    millrace: MILLRACE,
    envoyBinary: await findEnvoy(tools),
    envoyConcurrency: config.envoyConcurrency || sharedConcurrency(availableParallelism()),
    redis: await findRedis(config.redisUrl, tools),
    ...(kafka === undefined ? {} : { kafka }),
    folder: folder.path,
    host: HOST,
    ports,
    extraFlags: {},
    security,
  })
  prepareFolder(plan)
  return createSupervisor({
    specs: plan.processes,
    logsDir: folder.logsDir,
    pidsDir: folder.pidsDir,
    restarts: () => true,
    onEvent: (event) => {
      tellEvent(event, folder.logsDir, deps)
    },
  })
}

const ownKafka = ({ kafkaBootstrapServers: bootstrapServers, kafkaConfig: configFile }: UpConfig): boolean =>
  isKafkaGiven({ bootstrapServers, configFile })

/** A Kafka of the user's wins: starting another one beside it helps nobody. */
const usesKafka = (config: UpConfig): boolean => config.kafka || ownKafka(config)
const startsKafka = (config: UpConfig): boolean => config.kafka && !ownKafka(config)

/** @throws ServingError CONFIG_INVALID, TOOL_MISSING, DOWNLOAD_FAILED */
async function planKafkaUse(config: UpConfig, tools: ToolsContext): Promise<KafkaPlan | undefined> {
  const configFile = config.kafkaConfig === '' ? '' : resolve(config.kafkaConfig)
  const bootstrapServers = config.kafkaBootstrapServers
  if (ownKafka(config)) {
    loadKafkaConnection({ bootstrapServers, configFile }) // what is wrong with it is told here, not in a log
    return { kind: 'external', bootstrapServers, configFile }
  }
  return config.kafka ? { kind: 'managed', ...(await findKafka(tools)) } : undefined
}

async function findRedis(url: string, tools: ToolsContext): Promise<RedisPlan> {
  if (url === '') return { kind: 'managed', binary: await findRedisServer(tools) }
  const target = { kind: 'tcp', ...redisAddress(url) } as const
  if ((await waitReady(target, REDIS_DEADLINE_MS, tools.signal)) === 'late')
    throw new ServingError(
      'STORE_UNAVAILABLE',
      `REDIS_URL: nothing answers at ${target.host}:${String(target.port)}; correct it, or unset it to have a Redis started`,
    )
  return { kind: 'external', url }
}

/** @throws ServingError CONFIG_INVALID, which does not repeat the URL: it may hold a password */
function redisAddress(url: string): { readonly host: string; readonly port: number } {
  if (!URL.canParse(url))
    throw new ServingError('CONFIG_INVALID', 'REDIS_URL: is not a URL; write redis://[user:password@]host[:port]')
  const { hostname, port } = new URL(url)
  return { host: hostname, port: port === '' ? DEFAULT_REDIS_PORT : Number(port) }
}

/** The model servers come after the scheduler, which knows how many were applied. */
async function startAll(supervisor: Supervisor, servers: LocalServers, { progress, stop }: UpDeps): Promise<void> {
  await progress.step('starting processes', (note) =>
    orStopped(
      stop,
      supervisor.start((names) => {
        if (names.length > 0) note(`waiting for ${names.join(', ')}`)
      }),
    ),
  )
  await progress.step('starting model servers', () => orStopped(stop, servers.start()))
}

/** The work's result, or CANCELLED as soon as the user wants to stop: stopping may not wait for it. */
function orStopped<T>(stop: AbortSignal, work: Promise<T>): Promise<T> {
  const stopped = new Promise<never>((_, reject) => {
    const refuse = (): void => {
      reject(new ServingError('CANCELLED', 'stopped before everything ran'))
    }
    if (stop.aborted) refuse()
    else stop.addEventListener('abort', refuse, { once: true })
  })
  return Promise.race([work, stopped])
}

/** With `--sample` applies and asks the model; answers with what there is to print. */
async function useIt(
  folder: StateFolder,
  ports: MeshPorts,
  admin: AdminClient,
  servers: LocalServers,
  security: MeshSecurity,
  config: UpConfig,
  deps: UpDeps,
): Promise<string> {
  const ingress: Ingress = {
    url: new URL(`${security.tls?.ingress === true ? 'https' : 'http'}://${HOST}:${String(ports.ingress)}`),
    tls: loadCallerTls(toCallers(security), silentLogger),
  }
  const sample = config.sample ? await askSample(admin, ingress, servers, config, deps) : undefined
  return summaryText({ host: HOST, ports, logsDir: folder.logsDir, security, sample })
}

async function askSample(
  admin: AdminClient,
  ingress: Ingress,
  servers: LocalServers,
  config: UpConfig,
  { progress }: UpDeps,
): Promise<SampleOutcome | undefined> {
  const leaveOut = (why: string): undefined => {
    if (config.once) throw new ServingError('CONFIG_INVALID', `--once: ${why}; use --no-sample, or --fresh`)
    progress.line(why)
  }
  if (servers.count('embedded') === 0)
    return leaveOut('server embedded, which runs the sample model, has no replicas, so the sample is not asked')
  const applied = await progress.step('loading the sample model', () => applySample(admin))
  if (applied.kind === 'replaced')
    return leaveOut(`the model ${applied.model} is no sample any more, so the sample is not asked`)
  const answers = await progress.step('asking it by REST and gRPC', () => inferSample(applied.model, ingress))
  if (config.pipelineGateways === 0) return { model: applied.model, answers }
  const pipeline = await progress.step('loading the sample pipeline', () => applySamplePipeline(admin))
  const asked = await progress.step('asking it', () => inferSample(`${pipeline}.pipeline`, ingress, ['rest']))
  return { model: applied.model, answers: [...answers, ...asked] }
}

async function untilStopped({ stop, progress }: UpDeps): Promise<void> {
  progress.line('Millrace is running; Ctrl-C stops it.')
  if (stop.aborted) return
  await new Promise((done) => {
    stop.addEventListener('abort', done, { once: true })
  })
}

function tellEvent(event: ChildEvent, logsDir: string, deps: UpDeps): void {
  if (deps.stop.aborted) return
  if (event.kind === 'died') {
    const next = `starting it again in ${(event.restartInMs / 1000).toFixed(1)} s`
    deps.progress.line(`${event.name} ${event.end}; ${next} (log: ${join(logsDir, `${event.name}.log`)})`)
  } else if (event.kind === 'late') deps.progress.line(event.reason)
  else if (event.again) deps.progress.line(`${event.name} is back (process ${String(event.pid)})`)
}
