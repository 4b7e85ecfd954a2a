/** What the machine has: Node, Python, the tools, space. */
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { kafkaAliases } from '../../dataflow/kafka/options.ts'
import { formatBytes } from '../../cli/output/format.ts'
import { type CommandEnd, runCommand } from '../tools/command.ts'
import { envoyWheel } from '../tools/envoy.ts'
import { OLDEST_JAVA, probeJava, probeMaven } from '../tools/java.ts'
import { fetchedKafka, KAFKA_VERSION } from '../tools/kafka.ts'
import { installedMlserver } from '../tools/mlserver.ts'
import { isUsableRedis, redisWheel } from '../tools/redis.ts'
import { findUnpacked, type WheelTool } from '../tools/wheel.ts'
import { type Finding, ok, warning, wrong } from './finding.ts'

export interface MachineContext {
  readonly toolsDir: string
  readonly stateDir: string
  readonly environment: NodeJS.ProcessEnv
  readonly nodeVersion: string
}

const PROBE_TIMEOUT_MS = 20_000
const OLDEST_NODE = [20, 19] as const

export async function checkMachine(context: MachineContext): Promise<readonly Finding[]> {
  const python = await checkPython(context)
  const canFetch = python.state === 'ok'
  return [
    checkNode(context.nodeVersion),
    python,
    await checkEnvoy(context, canFetch),
    await checkRedisServer(context, canFetch),
    await checkMlserver(context),
    await checkKafka(context),
    await checkSpace(context.stateDir),
  ]
}

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number)
  const isNew = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])
  const found = `Node ${version}`
  return isNew ? ok('node', found) : wrong('node', found, `install Node ${OLDEST_NODE.join('.')} or later`)
}

const probe = (command: string, args: readonly string[], { environment }: MachineContext): Promise<CommandEnd> =>
  runCommand(command, args, { timeoutMs: PROBE_TIMEOUT_MS, environment })

const succeeded = (end: CommandEnd): boolean => end.kind === 'exited' && end.status === 0
const outputOf = (end: CommandEnd): string => (end.kind === 'notFound' ? '' : (end.output.trim().split('\n')[0] ?? ''))
const reasonOf = (end: CommandEnd): string => {
  const reason = end.kind === 'notFound' ? 'no such file' : end.kind === 'killed' ? end.reason : outputOf(end)
  return reason === '' ? '' : `: ${reason}`
}

/** Needed to fetch tools, so with the tools there it is a warning at most. */
async function checkPython(context: MachineContext): Promise<Finding> {
  const version = await probe('python3', ['--version'], context)
  const haveTools = [envoyWheel, redisWheel].every((tool) => findUnpacked(context.toolsDir, tool) !== undefined)
  const missing = haveTools ? warning : wrong
  if (!succeeded(version))
    return missing('python', 'no python3 on the PATH', 'install Python 3.8 or later: tools are fetched with it')
  const venv = await probe('python3', ['-c', 'import ensurepip, venv'], context)
  const pip = succeeded(venv) ? venv : await probe('python3', ['-m', 'pip', '--version'], context)
  const name = outputOf(version)
  if (succeeded(pip)) return ok('python', `${name} with ${succeeded(venv) ? 'venv' : 'pip'}`)
  return missing(
    'python',
    `${name} without venv and pip`,
    'install them (on Debian and Ubuntu: python3-venv and python3-pip)',
  )
}

async function checkEnvoy(context: MachineContext, canFetch: boolean): Promise<Finding> {
  const own = context.environment['ENVOY_BIN'] ?? ''
  const path = own === '' ? findUnpacked(context.toolsDir, envoyWheel) : own
  if (path === undefined) return notFetched('envoy', envoyWheel, canFetch)
  const end = await probe(path, ['--version'], context)
  if (!succeeded(end)) return wrong('envoy', `${path} does not run here${reasonOf(end)}`, envoyWheel.instead)
  const version = /version: \w+\/(?<number>[\d.]+)/.exec(outputOf(end))?.groups?.['number']
  return ok('envoy', `Envoy ${version ?? 'of an unknown version'} at ${path}`)
}

async function checkRedisServer(context: MachineContext, canFetch: boolean): Promise<Finding> {
  const own = context.environment['REDIS_URL'] ?? ''
  if (own !== '') return ok('redis-server', 'not needed: REDIS_URL names a Redis')
  const onPath = await probe('redis-server', ['--version'], context)
  if (isUsableRedis(onPath)) return ok('redis-server', `${outputOf(onPath).replace(/ sha=.*/, '')} on the PATH`)
  const path = findUnpacked(context.toolsDir, redisWheel)
  if (path === undefined) return notFetched('redis-server', redisWheel, canFetch)
  const end = await probe(path, ['--version'], context)
  if (isUsableRedis(end)) return ok('redis-server', `${outputOf(end).replace(/ sha=.*/, '')} at ${path}`)
  return wrong('redis-server', `${path} does not run here${reasonOf(end)}`, redisWheel.instead)
}

/** Only those who start servers of this kind need it. */
async function checkMlserver(context: MachineContext): Promise<Finding> {
  const own = context.environment['MLSERVER_BIN'] ?? ''
  const path = own === '' ? installedMlserver(context.toolsDir) : own
  if (path === undefined) return ok('mlserver', 'not there; a start with --servers mlserver=1 fetches it')
  const end = await probe(path, ['--version'], context)
  if (succeeded(end)) return ok('mlserver', `${outputOf(end)} at ${path}`)
  return wrong('mlserver', `${path} does not run here${reasonOf(end)}`, 'remove its folder, or correct MLSERVER_BIN')
}

/** Only those who start a broker need it. */
async function checkKafka({ environment, toolsDir }: MachineContext): Promise<Finding> {
  const own = environment[kafkaAliases.kafkaBootstrapServers] ?? environment[kafkaAliases.kafkaConfig] ?? ''
  if (own !== '') return ok('kafka', 'none needs to be started: the environment names one')
  const java = await probeJava({ environment })
  const fetched = fetchedKafka(toolsDir) !== undefined
  const here = fetched ? `Kafka ${KAFKA_VERSION} is there` : `Kafka ${KAFKA_VERSION} is not there yet`
  if (java.kind !== 'ok') {
    const found = java.kind === 'old' ? `${java.command} is Java ${String(java.version)}` : 'there is no java'
    return warning('kafka', `--kafka will not work: ${found}`, `install a JDK of ${String(OLDEST_JAVA)} or later`)
  }
  const runs = `Java ${String(java.version)} runs it`
  if (fetched) return ok('kafka', `${here}; ${runs}`)
  if (succeeded(await probeMaven({ environment })))
    return ok('kafka', `${here}; a start with --kafka fetches it; ${runs}`)
  return warning('kafka', `--kafka will not work: ${here}, and there is no mvn to fetch it`, 'install Maven')
}

const notFetched = (check: string, tool: WheelTool, canFetch: boolean): Finding =>
  canFetch
    ? ok(check, `${tool.name} is not there yet; the first start fetches it`)
    : wrong(check, `${tool.name} is not there and cannot be fetched`, `repair python, or ${tool.instead}`)

const NEEDED_BYTES = 256 * 1024 ** 2
const COMFORTABLE_BYTES = 2 * 1024 ** 3

async function checkSpace(stateDir: string): Promise<Finding> {
  const folder = existingParent(stateDir)
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const found = `${formatBytes(free)} free at ${folder}`
  const fix = 'free some space, or use another --state-dir'
  if (free < NEEDED_BYTES) return wrong('disk', found, fix)
  return free < COMFORTABLE_BYTES ? warning('disk', found, fix) : ok('disk', found)
}

function existingParent(path: string): string {
  return existsSync(path) ? path : existingParent(dirname(path))
}
