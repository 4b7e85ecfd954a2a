import { Redis } from 'ioredis'
import { ServingError } from '../../kit/errors.ts'

/** What decides whether Redis keeps what it acknowledged. Undefined: it does not let its options be read. */
export interface RedisSettings {
  readonly policy: string | undefined
  readonly appendOnly: string | undefined
  readonly lastWriteOk: boolean
}

const DEADLINE_MS = 3_000

/** @throws ServingError STORE_UNAVAILABLE */
export async function readRedisSettings(url: string): Promise<RedisSettings> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: DEADLINE_MS,
    commandTimeout: DEADLINE_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  })
  redis.on('error', () => undefined) // the call below fails with it
  try {
    await redis.connect()
    const persistence = await redis.info('persistence')
    return {
      policy: await option(redis, 'maxmemory-policy'),
      appendOnly: await option(redis, 'appendonly'),
      lastWriteOk: !/^aof_last_write_status:err|^rdb_last_bgsave_status:err/m.test(persistence),
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('STORE_UNAVAILABLE', `Redis cannot be asked: ${reason}`, { cause: error })
  } finally {
    redis.disconnect()
  }
}

async function option(redis: Redis, name: string): Promise<string | undefined> {
  try {
    const [, value] = (await redis.config('GET', name)) as string[]
    return value
  } catch (error) {
    if (error instanceof Error && error.name === 'ReplyError') return undefined // managed services forbid it
    throw error
  }
}
