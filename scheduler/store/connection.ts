import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { ServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import type { Logger } from '../../kit/log.ts'

/** Below the 2 s within which an API call must say that Redis is away. */
const COMMAND_TIMEOUT_MS = 1_500
const CONNECT_TIMEOUT_MS = 1_500
const RECONNECT_MIN_MS = 50
const RECONNECT_MAX_MS = 1_000

/** The commands that the scripts in `lua/` add to a connection. */
interface Scripts {
  commitDocuments(keyCount: number, ...keysAndArguments: string[]): Promise<[string, (string | number)?]>
  holdLease(keyCount: number, ...keysAndArguments: string[]): Promise<[string, string]>
  releaseLease(keyCount: number, ...keysAndArguments: string[]): Promise<number>
}
export type RedisConnection = Redis & Scripts

const script = (name: string) => ({
  lua: readFileSync(join(packageRoot, 'scheduler/store/lua', `${name}.lua`), 'utf8'),
})

/**
 * A connection that fails fast and reconnects by itself. Nothing is queued while Redis is away and nothing is sent
 * twice: a write whose answer was lost is read back instead of repeated.
 */
export function connectRedis(url: string, log: Logger): RedisConnection {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: (times) => Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** Math.min(times, 10)),
    lazyConnect: true,
    scripts: { commitDocuments: script('commit'), holdLease: script('lease'), releaseLease: script('release') },
  }) as RedisConnection
  let reported = false // one line per outage, not one per attempt
  redis.on('error', (error: Error) => {
    if (!reported) log.warn({ error: error.message }, 'redis connection failed, reconnecting')
    reported = true
  })
  redis.on('ready', () => {
    if (reported) log.info({}, 'redis connection is back')
    reported = false
  })
  redis.connect().catch(() => undefined) // reported above; it goes on trying
  return redis
}

/** Replies with which Redis says "not now"; everything else it refuses is a bug of ours. */
const NOT_NOW = ['LOADING', 'MISCONF', 'READONLY', 'OOM', 'BUSY', 'MASTERDOWN', 'CLUSTERDOWN', 'TRYAGAIN', 'NOREPLICAS']

/** Runs one use of Redis; whatever keeps it from answering becomes STORE_UNAVAILABLE. */
export async function guardRedis<T>(what: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    if (error instanceof ServingError) throw error
    const message = error instanceof Error ? error.message : String(error)
    const refused = error instanceof Error && error.name === 'ReplyError'
    if (refused && !NOT_NOW.some((prefix) => message.startsWith(prefix)))
      throw new ServingError('INVARIANT_BROKEN', `Redis refused to ${what}: ${message}`, { cause: error })
    throw new ServingError('STORE_UNAVAILABLE', `Redis cannot ${what}: ${message}`, { cause: error })
  }
}
