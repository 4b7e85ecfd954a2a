import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { silentLogger } from '../../kit/log.ts'
import { connectRedis, type RedisConnection } from '../../scheduler/store/connection.ts'
import { createKeys } from '../../scheduler/store/keys.ts'
import { type Leadership, type Lease, createLease } from '../../scheduler/store/lease.ts'
import { createRedisStore } from '../../scheduler/store/redis.ts'
import { aModel, writeModel } from '../support/documents.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let server: TestRedis
const leases: Lease[] = []
const opened: RedisConnection[] = []
let counter = 0

beforeAll(async () => {
  server = await startRedis()
})
afterEach(async () => {
  await Promise.all(leases.splice(0).map((lease) => lease.stop()))
  for (const redis of opened.splice(0)) redis.disconnect()
})
afterAll(async () => {
  await server.stop()
})

interface Contender {
  readonly lease: Lease
  readonly redis: RedisConnection
  readonly store: ReturnType<typeof createRedisStore>
  /** The next leadership that satisfies the test. */
  until(wanted: (leadership: Leadership) => boolean): Promise<Leadership>
}

const freshKeys = () => createKeys(`lease-${String((counter += 1))}`)

function contend(keys: ReturnType<typeof createKeys>, instanceId: string, ttlMs = 900): Contender {
  const connect = (): RedisConnection => {
    const redis = connectRedis(server.url, silentLogger)
    opened.push(redis)
    return redis
  }
  const redis = connect()
  const waiting: { wanted: (leadership: Leadership) => boolean; resolve: (leadership: Leadership) => void }[] = []
  const self = { instanceId, address: `127.0.0.1:${instanceId}`, agentAddress: '' }
  const onChange = (now: Leadership): void => {
    for (const waiter of waiting.splice(0))
      (waiter.wanted(now) ? waiter.resolve : (): unknown => waiting.push(waiter))(now)
  }
  const lease = createLease({ redis, keys, ttlMs, onChange, log: silentLogger })
  leases.push(lease)
  lease.compete(self)
  const fencingToken = (): string | undefined => {
    const now = lease.current()
    return now.kind === 'leading' ? now.token : undefined
  }
  const store = createRedisStore({ redis, connect, keys, schedulerId: instanceId, fencingToken, log: silentLogger })
  const until = (wanted: (leadership: Leadership) => boolean): Promise<Leadership> =>
    wanted(lease.current())
      ? Promise.resolve(lease.current())
      : new Promise((resolve) => waiting.push({ wanted, resolve }))
  return { lease, redis, store, until }
}

const leading = (leadership: Leadership): boolean => leadership.kind === 'leading'
const tokenOf = (leadership: Leadership): number => (leadership.kind === 'leading' ? Number(leadership.token) : 0)

it('one leads, the other knows where the leader is and takes over when it stops', async () => {
  const keys = freshKeys()
  const first = contend(keys, '1')
  const older = await first.until(leading)
  const second = contend(keys, '2')
  expect(await second.until((now) => now.kind === 'following')).toEqual({
    kind: 'following',
    leader: { instanceId: '1', address: '127.0.0.1:1', agentAddress: '' },
  })
  await first.lease.stop()
  expect(tokenOf(await second.until(leading))).toBeGreaterThan(tokenOf(older))
})

it('a lease that is not renewed passes on, and the old leader can write no more (I7)', async () => {
  const keys = freshKeys()
  const first = contend(keys, '1', 60_000) // renews in 20 s: as good as paused
  await first.until(leading)
  expect(await first.store.commit([writeModel(aModel('mine'))])).toMatchObject({ kind: 'committed' })
  const second = contend(keys, '2')
  await second.until((now) => now.kind === 'following')
  await second.redis.del(keys.lease) // what its time to live does
  await second.until(leading)

  expect(await first.store.commit([writeModel(aModel('stale'))])).toEqual({ kind: 'fenced' })
  expect(await second.store.commit([writeModel(aModel('ours'))])).toMatchObject({ kind: 'committed' })
  first.lease.lost()
  expect(first.lease.current()).toEqual({ kind: 'unknown' })
  expect(await first.store.commit([writeModel(aModel('stale'))])).toEqual({ kind: 'fenced' })
})

it('the same instance, started again, takes its own lease over at once', async () => {
  const keys = freshKeys()
  const killed = contend(keys, '1', 60_000)
  await killed.until(leading)
  killed.redis.disconnect() // gone without releasing anything
  const restarted = contend(keys, '1', 60_000)
  await restarted.until(leading)
})

it('two processes with one instance id do not take the lease from each other for ever', async () => {
  const keys = freshKeys()
  const first = contend(keys, '1')
  await first.until(leading)
  const second = contend(keys, '1')
  const taken = tokenOf(await second.until(leading))
  await first.until((now) => now.kind === 'following')
  await first.until((now) => now.kind === 'following')
  expect(tokenOf(second.lease.current())).toBe(taken)
})

it('a leader goes on with the same token after an outage during which nobody else led', async () => {
  const other = await startRedis()
  const redis = connectRedis(other.url, silentLogger)
  opened.push(redis)
  const keys = freshKeys()
  const self = { instanceId: '1', address: '127.0.0.1:1', agentAddress: '' }
  const changes: Leadership[] = []
  const onChange = (now: Leadership): unknown => changes.push(now)
  const lease = createLease({ redis, keys, ttlMs: 300, onChange, log: silentLogger })
  leases.push(lease)
  lease.compete(self)
  try {
    const store = (): Promise<unknown> => redis.get(keys.lease)
    await expect.poll(() => changes.length).toBe(1)
    await other.kill()
    await other.start()
    await expect.poll(store).toContain('"instanceId":"1"')
    expect(changes).toEqual([lease.current()])
  } finally {
    await lease.stop()
    await other.stop()
  }
})
