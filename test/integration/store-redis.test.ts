import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '../../kit/log.ts'
import type { InternalName, ReplicaKey } from '../../scheduler/domain/documents.ts'
import type { Store, StoreChange, Write } from '../../scheduler/domain/store.ts'
import { checkRedis } from '../../scheduler/store/check-redis.ts'
import { connectRedis, type RedisConnection } from '../../scheduler/store/connection.ts'
import { createKeys } from '../../scheduler/store/keys.ts'
import { openRedis } from '../../scheduler/store/open.ts'
import { createRedisStore, MAX_WRITES_PER_COMMIT } from '../../scheduler/store/redis.ts'
import { aModel, anExperiment, aPipeline, aServer, writeModel } from '../support/documents.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let server: TestRedis
const opened: RedisConnection[] = []
let counter = 0

beforeAll(async () => {
  server = await startRedis()
})
afterEach(() => {
  for (const redis of opened.splice(0)) redis.disconnect()
})
afterAll(async () => {
  await server.stop()
})

function connect(url = server.url): RedisConnection {
  const redis = connectRedis(url, silentLogger)
  opened.push(redis)
  return redis
}

async function ready(redis: RedisConnection): Promise<RedisConnection> {
  if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve))
  return redis
}

/** A store of its own in the shared Redis; its token is given directly. */
async function aStore(prefix = `test-${String((counter += 1))}`, token = '1') {
  const redis = await ready(connect())
  const keys = createKeys(prefix)
  await redis.set(keys.fence, token)
  const deps = { redis, connect, keys, log: silentLogger }
  const store = createRedisStore({ ...deps, schedulerId: 'a', fencingToken: () => token })
  const as = (schedulerId: string): Store => createRedisStore({ ...deps, schedulerId, fencingToken: () => token })
  return { store, redis, keys, as }
}

async function commit(store: Store, writes: readonly Write[]): Promise<number> {
  const result = await store.commit(writes)
  if (result.kind !== 'committed') throw new Error(`not committed: ${JSON.stringify(result)}`)
  return result.revision
}

async function take(changes: AsyncIterable<StoreChange>, count: number): Promise<StoreChange[]> {
  const taken: StoreChange[] = []
  for await (const change of changes) {
    taken.push(change)
    if (taken.length === count) break
  }
  return taken
}

const observed = (replica: ReplicaKey, name: InternalName): Write => ({
  kind: 'observed',
  replica,
  name,
  document: { internalName: name, state: 'Loaded', reason: '', artifactBytes: 7, attempt: 0, atMs: 5 },
})

describe('documents', () => {
  it('what is committed is loaded, each document with the revision of its commit', async () => {
    const { store } = await aStore()
    await commit(store, [writeModel(aModel('iris'))])
    const revision = await commit(store, [
      { kind: 'server', name: 'mlserver', expectedRevision: 0, document: aServer('mlserver') },
      observed('mlserver/0', 'iris_1'),
    ])
    const snapshot = await store.load()
    expect(snapshot.models).toEqual([{ ...aModel('iris'), revision: 1 }])
    expect(snapshot.servers).toEqual([{ ...aServer('mlserver'), revision: 2 }])
    expect(snapshot.observed).toEqual([
      {
        replica: 'mlserver/0',
        document: { internalName: 'iris_1', state: 'Loaded', reason: '', artifactBytes: 7, attempt: 0, atMs: 5 },
      },
    ])
    expect([snapshot.revision, revision]).toEqual([2, 2])
  })

  it('pipelines and experiments are loaded and followed like models', async () => {
    const { store } = await aStore()
    const writes: readonly Write[] = [
      { kind: 'pipeline', name: 'p', expectedRevision: 0, document: aPipeline('p', 'iris') },
      { kind: 'experiment', name: 'e', expectedRevision: 0, document: anExperiment('e', 'iris') },
      { kind: 'event', subject: 'pipeline/p', event: { atMs: 1, kind: 'info', reason: 'Applied', message: 'here' } },
    ]
    const following = take(store.follow(0, AbortSignal.timeout(5_000)), 1)
    await commit(store, writes)
    const snapshot = await store.load()
    expect(snapshot.pipelines).toEqual([{ ...aPipeline('p', 'iris'), revision: 1 }])
    expect(snapshot.experiments).toEqual([{ ...anExperiment('e', 'iris'), revision: 1 }])
    expect(await store.events('pipeline/p')).toHaveLength(1)
    const [change] = await following
    expect(change?.writes.map(({ kind }) => kind)).toEqual(['pipeline', 'experiment', 'event'])
    expect(await store.commit(writes)).toEqual({ kind: 'conflict', key: 'pipeline/p' })
  })

  it('a deleted document is gone and its name may be used again', async () => {
    const { store } = await aStore()
    const revision = await commit(store, [writeModel(aModel('iris'))])
    await commit(store, [{ kind: 'model', name: 'iris', expectedRevision: revision, document: undefined }])
    expect((await store.load()).models).toEqual([])
    await commit(store, [writeModel(aModel('iris'))])
    expect((await store.load()).models[0]?.revision).toBe(3)
  })

  it('the events of a deleted model go after a while, unless its name comes back', async () => {
    const { store, redis, keys } = await aStore()
    const event = { atMs: 1, kind: 'info', reason: 'Placed', message: 'here' } as const
    const happened: Write = { kind: 'event', subject: 'model/iris', event }
    const revision = await commit(store, [writeModel(aModel('iris')), happened])
    expect(await redis.ttl(keys.events('model/iris'))).toBe(-1)

    await commit(store, [{ kind: 'model', name: 'iris', expectedRevision: revision, document: undefined }, happened])
    expect(await redis.ttl(keys.events('model/iris'))).toBeGreaterThan(0)
    expect(await store.events('model/iris')).toHaveLength(2)

    await commit(store, [writeModel(aModel('iris')), happened])
    expect(await redis.ttl(keys.events('model/iris'))).toBe(-1)
  })

  it('five thousand models are all read, in batches', async () => {
    const { store } = await aStore()
    for (let first = 0; first < 5_000; first += MAX_WRITES_PER_COMMIT) {
      const names = Array.from({ length: MAX_WRITES_PER_COMMIT }, (_, i) => `model-${String(first + i)}`)
      await commit(
        store,
        names.map((name) => writeModel(aModel(name))),
      )
    }
    expect(new Set((await store.load()).models.map((model) => model.name)).size).toBe(5_000)
  })

  it('a document of a newer schema is refused with its name', async () => {
    const { store, redis, keys } = await aStore()
    await redis.hset(keys.hash.model, 'iris', '1 {"schemaVersion":2,"name":"iris"}')
    await expect(store.load()).rejects.toMatchObject({
      code: 'STORE_SCHEMA_NEWER',
      message: expect.stringContaining('model/iris in Redis has schemaVersion 2') as string,
    })
  })
})

describe('compare and set', () => {
  it('one stale write refuses the whole commit', async () => {
    const { store } = await aStore()
    const revision = await commit(store, [writeModel(aModel('iris'))])
    await commit(store, [writeModel({ ...aModel('iris', '/b'), revision })])
    const result = await store.commit([writeModel(aModel('fresh')), writeModel({ ...aModel('iris', '/c'), revision })])
    expect(result).toEqual({ kind: 'conflict', key: 'model/iris' })
    const { models, revision: now } = await store.load()
    expect(models.map((model) => model.versions[0]?.spec.storageUri)).toEqual(['/b'])
    expect(now).toBe(2)
  })

  it('a write with an older token is refused (I7)', async () => {
    const { store, redis, keys } = await aStore()
    await commit(store, [writeModel(aModel('iris'))])
    await redis.set(keys.fence, '2')
    expect(await store.commit([writeModel(aModel('other'))])).toEqual({ kind: 'fenced' })
    expect((await store.load()).models).toHaveLength(1)
  })

  it('after Redis was emptied nobody writes with the token from before', async () => {
    const { store, redis, keys } = await aStore()
    await redis.del(keys.fence)
    expect(await store.commit([writeModel(aModel('iris'))])).toEqual({ kind: 'fenced' })
  })

  it('a commit beyond its bound is a bug, not a long pause of Redis', async () => {
    const { store } = await aStore()
    const writes = Array.from({ length: MAX_WRITES_PER_COMMIT + 1 }, (_, i) => writeModel(aModel(`m${String(i)}`)))
    await expect(store.commit(writes)).rejects.toMatchObject({ code: 'INVARIANT_BROKEN' })
  })
})

describe('events', () => {
  it('the last fifty of a subject are kept, oldest first', async () => {
    const { store } = await aStore()
    for (const first of [0, 30]) {
      const numbers = Array.from({ length: 30 }, (_, i) => first + i)
      await commit(
        store,
        numbers.map((atMs) => ({
          kind: 'event',
          subject: 'model/iris',
          event: { atMs, kind: 'info', reason: 'Loaded', message: 'loaded' },
        })),
      )
    }
    const events = await store.events('model/iris')
    expect(events.map((event) => event.atMs)).toEqual(Array.from({ length: 50 }, (_, i) => 10 + i))
    expect(await store.events('model/other')).toEqual([])
  })
})

describe('following', () => {
  it('yields what was committed after the revision, then what comes', async () => {
    const { store } = await aStore()
    await commit(store, [writeModel(aModel('old'))])
    await commit(store, [writeModel(aModel('iris')), observed('mlserver/0', 'iris_1')])
    const taking = take(store.follow(1, new AbortController().signal), 2)
    await commit(store, [{ kind: 'model', name: 'old', expectedRevision: 1, document: undefined }])
    const [first, second] = await taking
    expect(first?.revision).toBe(2)
    expect(first?.writes[0]).toMatchObject({ kind: 'model', name: 'iris', document: { name: 'iris', revision: 2 } })
    expect(first?.writes[1]).toMatchObject({ kind: 'observed', replica: 'mlserver/0', name: 'iris_1' })
    expect(second?.writes).toEqual([{ kind: 'model', name: 'old', expectedRevision: 0, document: undefined }])
  })

  it('lost history is an error that says to load again', async () => {
    const { store, redis, keys } = await aStore()
    for (const name of ['a', 'b', 'c']) await commit(store, [writeModel(aModel(name))])
    await redis.xtrim(keys.changes, 'MAXLEN', 1)
    await expect(take(store.follow(1, new AbortController().signal), 1)).rejects.toMatchObject({ code: 'STORE_GAP' })
  })

  it('an emptied Redis is noticed', async () => {
    const { store, redis, keys } = await aStore()
    await redis.set(keys.revision, '3')
    await expect(take(store.follow(9, new AbortController().signal), 1)).rejects.toMatchObject({ code: 'STORE_GAP' })
  })

  it('ends at once when it is told to', async () => {
    const { store } = await aStore()
    const abort = new AbortController()
    const taking = take(store.follow(0, abort.signal), 1)
    abort.abort()
    expect(await taking).toEqual([])
  })
})

describe('the board of ACKs', () => {
  it('shows the nodes of every scheduler and forgets those of one that is gone', async () => {
    const { store, redis, keys, as } = await aStore()
    const ack = (node: string, scheduler: string) => ({ node, scheduler, ackedRevision: 4, silent: false })
    await store.putAcks([ack('envoy-1', 'a')])
    await as('b').putAcks([ack('envoy-2', 'b')])
    expect((await store.acks()).map((entry) => entry.node).toSorted()).toEqual(['envoy-1', 'envoy-2'])
    expect(await redis.pttl(keys.ackBoard('a'))).toBeGreaterThan(0)
    await redis.del(keys.ackBoard('b')) // what its time to live does
    expect((await store.acks()).map((entry) => entry.node)).toEqual(['envoy-1'])
    expect(await redis.smembers(keys.ackBoards)).toEqual(['a'])
  })
})

describe('a Redis that cannot be used', () => {
  it('is refused when it may evict keys', async () => {
    const other = await startRedis(['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'])
    try {
      const redis = await ready(connect(other.url))
      await expect(checkRedis(redis, silentLogger)).rejects.toMatchObject({
        code: 'STORE_MISCONFIGURED',
        message: expect.stringContaining('maxmemory-policy of Redis is allkeys-lru') as string,
      })
    } finally {
      await other.stop()
    }
  })

  it.each(['', ':wrong@'])('is refused at once when it does not take the credentials "%s"', async (credentials) => {
    const other = await startRedis()
    try {
      await other.command('CONFIG', 'SET', 'requirepass', 'right')
      const url = other.url.replace('redis://', `redis://${credentials}`)
      await expect(openRedis(() => connect(url), silentLogger)).rejects.toMatchObject({
        code: 'STORE_MISCONFIGURED',
        message: expect.stringContaining('Redis refuses the user or password of REDIS_URL') as string,
      })
    } finally {
      await other.stop()
    }
  })

  it('is accepted with a warning when its options may not be read', async () => {
    const other = await startRedis(['--rename-command', 'CONFIG', ''])
    const warnings: string[] = []
    const log = { ...silentLogger, warn: (_: object, message: string) => warnings.push(message) }
    try {
      await checkRedis(await ready(connect(other.url)), log)
      expect(warnings).toEqual([expect.stringContaining('make sure that maxmemory-policy is noeviction')])
    } finally {
      await other.stop()
    }
  })
})

describe('Redis is away', () => {
  it('every call says so within 2 s, killed or silent, and works again afterwards', async () => {
    const other = await startRedis()
    try {
      const redis = await ready(connect(other.url))
      const keys = createKeys('away')
      await redis.set(keys.fence, '1')
      const deps = { redis, connect: () => connect(other.url), keys, schedulerId: 'a', log: silentLogger }
      const store = createRedisStore({ ...deps, fencingToken: () => '1' })
      await commit(store, [writeModel(aModel('kept'))])

      const calls = (): Promise<unknown>[] => [
        store.commit([writeModel(aModel('iris'))]),
        store.load(),
        store.events('model/iris'),
        store.acks(),
        store.putAcks([]),
      ]
      const allRefused = async (): Promise<void> => {
        const started = performance.now()
        for (const result of await Promise.allSettled(calls()))
          expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STORE_UNAVAILABLE' } })
        expect(performance.now() - started).toBeLessThan(10_000) // the bound is 2 s, where nothing else runs
      }
      other.pause()
      await allRefused()
      other.resume()
      await other.kill()
      await allRefused()
      await other.start()
      await ready(redis)
      expect((await store.load()).models.map((model) => model.name)).toContain('kept')
    } finally {
      await other.stop()
    }
  })
})
