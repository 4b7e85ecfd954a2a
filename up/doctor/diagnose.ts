/** All checks, those of a running Millrace only when one runs. */
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { httpGet } from '../../cli/client/http-get.ts'
import type { Session } from '../../cli/session.ts'
import { type ErrorCode, ServingError, toServingError } from '../../kit/errors.ts'
import { enginePorts, modelGatewayPorts, portUses, standardPorts } from '../ports.ts'
import { type Finding, skipped, warning, wrong } from './finding.ts'
import { checkMachine } from './machine.ts'
import { readRedisSettings } from './redis-settings.ts'
import {
  agentFindings,
  envoyFinding,
  gatewayFinding,
  type GatewaySays,
  readerFinding,
  type ReaderKind,
  type ReaderSays,
  redisFindings,
  type SchedulerSays,
  schedulerFindings,
} from './running.ts'
import { checkPorts, checkStateFolder, runningUp } from './state.ts'

export interface DoctorContext {
  readonly stateDir: string
  readonly toolsDir: string
  readonly portOffset: number
  readonly environment: NodeJS.ProcessEnv
  readonly admin: Pick<AdminClient, 'list'>
  /** By `--ca` processes are asked over TLS. */
  readonly caller: Pick<Session, 'tls' | 'token'>
  readonly now: () => number
}

const HOST = '127.0.0.1'
const STANDARD_REPLICAS = 2
const DEADLINE_MS = 3_000

export async function diagnose(context: DoctorContext): Promise<readonly Finding[]> {
  const { environment, stateDir } = context
  const ports = standardPorts(context.portOffset, STANDARD_REPLICAS)
  const runs = runningUp(stateDir) !== undefined
  const ownRedis = environment['REDIS_URL'] ?? ''
  const used = portUses(ports).filter(({ port }) => ownRedis === '' || port !== ports.redis)
  const still = [
    ...(await checkMachine({ ...context, nodeVersion: process.version })),
    checkStateFolder(stateDir),
    await checkPorts(used, HOST, runs),
  ]
  if (!runs) return [...still, skipped('millrace', 'does not run; `npm start` starts it')]
  const metrics = ports.envoys[0]?.metrics ?? 0
  const scheme = context.caller.tls === undefined ? 'http' : 'https'
  return [
    ...still,
    ...(await checkScheduler(`${scheme}://${HOST}:${String(ports.schedulerHttp)}/readyz`, context)),
    ...(await checkRedis(ownRedis === '' ? `redis://${HOST}:${String(ports.redis)}` : ownRedis)),
    ...(await agentFindings(context.admin)),
    await checkEnvoy(`${scheme}://${HOST}:${String(metrics)}/ready`, context),
    await checkGateway(`${scheme}://${HOST}:${String(ports.pipelineGateways[0]?.http ?? 0)}/readyz`, context),
    await checkReader('engine', enginePorts(context.portOffset).http, 'pipelines cannot be fed through Kafka', context),
    await checkReader('model gateway', modelGatewayPorts(context.portOffset).http, 'models have no topics', context),
  ]
}

async function checkScheduler(url: string, { now, caller }: DoctorContext): Promise<readonly Finding[]> {
  try {
    const askedAtMs = now()
    const { body, dateMs } = await getJson(url, caller, 'SCHEDULER_UNAVAILABLE')
    return schedulerFindings({ says: body as SchedulerSays, clockMs: dateMs, ourClockMs: (askedAtMs + now()) / 2 })
  } catch (error) {
    return [wrong('scheduler', toServingError(error).message, 'see `millrace logs scheduler`')]
  }
}

async function checkRedis(url: string): Promise<readonly Finding[]> {
  try {
    return redisFindings(await readRedisSettings(url))
  } catch (error) {
    return [wrong('redis', toServingError(error).message, 'see `millrace logs redis`, or correct REDIS_URL')]
  }
}

async function checkEnvoy(url: string, { caller }: DoctorContext): Promise<Finding> {
  try {
    const { body } = await getJson(url, caller, 'ENVOY_UNAVAILABLE')
    const { ready = false, reason, error } = body as { ready?: boolean; reason?: string; error?: string }
    return envoyFinding({ ready, reason: reason ?? error ?? 'it says nothing of itself' })
  } catch (error) {
    return wrong('envoy', toServingError(error).message, 'see `millrace logs mesh-metrics`')
  }
}

/** The first; there may be none on purpose. */
async function checkGateway(url: string, { caller }: DoctorContext): Promise<Finding> {
  try {
    const { body } = await getJson(url, caller, 'SERVER_UNAVAILABLE')
    return gatewayFinding(body as GatewaySays)
  } catch (error) {
    return warning(
      'pipeline gateway',
      toServingError(error).message,
      'no pipeline answers without one; see `millrace logs pipeline-gateway`',
    )
  }
}

/** There is none without Kafka. */
async function checkReader(
  kind: ReaderKind,
  port: number,
  without: string,
  { caller }: DoctorContext,
): Promise<Finding> {
  const scheme = caller.tls === undefined ? 'http' : 'https'
  try {
    const { body } = await getJson(`${scheme}://${HOST}:${String(port)}/readyz`, caller, 'SERVER_UNAVAILABLE')
    return readerFinding(kind, body as ReaderSays)
  } catch {
    return skipped(kind, `does not run: ${without}; with Kafka see \`millrace logs ${kind.replace(' ', '-')}\``)
  }
}

/** Of a health port of ours: its body says why even when its status is not 200. */
async function getJson(
  url: string,
  caller: DoctorContext['caller'],
  code: ErrorCode,
): Promise<{ readonly body: unknown; readonly dateMs: number }> {
  try {
    const { text, dateMs } = await httpGet(new URL(url), caller, DEADLINE_MS)
    return { body: JSON.parse(text), dateMs }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError(code, `${url} gives no answer: ${reason}`, { cause: error })
  }
}
