import { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { guardRedis, type RedisConnection } from './connection.ts'

const OLDEST = [6, 2] as const

/**
 * Refuses a Redis that would lose state: too old, or allowed to evict keys.
 * @throws ServingError STORE_MISCONFIGURED with what to set.
 */
export async function checkRedis(redis: RedisConnection, log: Logger): Promise<void> {
  const info = await guardRedis('say its version', () => redis.info('server'))
  const version = /^redis_version:(\S+)/m.exec(info)?.[1] ?? 'unknown'
  if (!isAtLeast(version, OLDEST))
    throw new ServingError('STORE_MISCONFIGURED', `Redis is ${version}; Millrace needs ${OLDEST.join('.')} or newer`)
  const policy = await readOption(redis, 'maxmemory-policy')
  if (policy === undefined)
    log.warn({ version }, 'redis does not let its options be read: make sure that maxmemory-policy is noeviction')
  else if (policy !== 'noeviction')
    throw new ServingError(
      'STORE_MISCONFIGURED',
      `maxmemory-policy of Redis is ${policy}, which may delete models: run "CONFIG SET maxmemory-policy noeviction" and set it in its configuration`,
    )
  if ((await readOption(redis, 'appendonly')) === 'no')
    log.warn({}, 'redis runs with appendonly off: what was acknowledged may be lost when it stops')
}

function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [actualMajor = 0, actualMinor = 0] = version.split('.').map(Number)
  return actualMajor > major || (actualMajor === major && actualMinor >= minor)
}

/** Undefined when CONFIG is forbidden, as managed services do. */
async function readOption(redis: RedisConnection, name: string): Promise<string | undefined> {
  try {
    const [, value] = (await redis.config('GET', name)) as string[]
    return value
  } catch (error) {
    if (error instanceof Error && error.name === 'ReplyError') return undefined
    return guardRedis(`say its ${name}`, () => Promise.reject(error))
  }
}
