import { backoffMs, pause } from '../../kit/backoff.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { checkRedis } from './check-redis.ts'
import { guardRedis, type RedisConnection } from './connection.ts'

const RETRY = { minMs: 50, maxMs: 2_000 }
/** A start beside a Redis that starts as well is nothing to report. */
const SILENT_ATTEMPTS = 4
const CREDENTIALS_REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR invalid password|ERR Client sent AUTH)/

/**
 * A connection to a Redis that answers and is fit for use, however long that takes.
 * @throws ServingError STORE_MISCONFIGURED when it is not fit.
 */
export async function openRedis(
  connect: () => RedisConnection,
  log: Logger,
): Promise<{ readonly redis: RedisConnection; readonly running: Running }> {
  const redis = connect()
  let refused: Error | undefined
  redis.on('error', (error: Error) => {
    if (CREDENTIALS_REFUSED.test(error.message)) refused = error
  })
  const running: Running = {
    stop: () => {
      redis.disconnect()
      return Promise.resolve()
    },
  }
  for (let attempt = 0; ; attempt += 1) {
    try {
      await guardRedis('answer', () => redis.ping())
      await checkRedis(redis, log)
      return { redis, running }
    } catch (error) {
      const failure = toServingError(error)
      if (refused !== undefined || failure.code !== 'STORE_UNAVAILABLE') {
        redis.disconnect()
        throw refused === undefined ? failure : credentialsRefused(refused)
      }
      if (attempt === SILENT_ATTEMPTS) log.warn({ error: failure.message }, 'waiting for redis')
      await pause(backoffMs(attempt, RETRY), new AbortController().signal)
    }
  }
}

const credentialsRefused = (cause: Error): ServingError =>
  new ServingError(
    'STORE_MISCONFIGURED',
    `Redis refuses the user or password of REDIS_URL: ${cause.message}; write it as redis://<user>:<password>@<host>:<port>`,
    { cause },
  )
