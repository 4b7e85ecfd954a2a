/** All checks, those of a running Millrace only when one runs. */
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { type ErrorCode, ServingError, toServingError } from '../../kit/errors.ts'
import { portUses, standardPorts } from '../ports.ts'
import { type Finding, skipped, wrong } from './finding.ts'
import { checkMachine } from './machine.ts'
import { readRedisSettings } from './redis-settings.ts'
import { agentFindings, envoyFinding, redisFindings, type SchedulerSays, schedulerFindings } from './running.ts'
import { checkPorts, checkStateFolder, runningUp } from './state.ts'

export interface DoctorContext {
  readonly stateDir: string
  readonly toolsDir: string
  readonly portOffset: number
  readonly environment: NodeJS.ProcessEnv
  readonly admin: Pick<AdminClient, 'list'>
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
  return [
    ...still,
    ...(await checkScheduler(`http://${HOST}:${String(ports.schedulerHttp)}/readyz`, context)),
    ...(await checkRedis(ownRedis === '' ? `redis://${HOST}:${String(ports.redis)}` : ownRedis)),
    ...(await agentFindings(context.admin)),
    await checkEnvoy(`http://${HOST}:${String(metrics)}/ready`),
  ]
}

async function checkScheduler(url: string, { now }: DoctorContext): Promise<readonly Finding[]> {
  try {
    const askedAtMs = now()
    const { body, dateMs } = await getJson(url, 'SCHEDULER_UNAVAILABLE')
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

async function checkEnvoy(url: string): Promise<Finding> {
  try {
    const { body } = await getJson(url, 'ENVOY_UNAVAILABLE')
    const { ready = false, reason, error } = body as { ready?: boolean; reason?: string; error?: string }
    return envoyFinding({ ready, reason: reason ?? error ?? 'it says nothing of itself' })
  } catch (error) {
    return wrong('envoy', toServingError(error).message, 'see `millrace logs mesh-metrics`')
  }
}

/** Of a health port of ours: its body says why even when its status is not 200. */
async function getJson(url: string, code: ErrorCode): Promise<{ readonly body: unknown; readonly dateMs: number }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DEADLINE_MS) })
    return { body: await response.json(), dateMs: Date.parse(response.headers.get('date') ?? '') }
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ServingError(code, `${url} gives no answer: ${reason}`, { cause: error })
  }
}
