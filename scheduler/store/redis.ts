/**
 * The store on Redis: a hash per kind of document, one commit script, a change stream.
 *
 * I7: every write goes through `lua/commit.lua`, which compares the fencing token before it writes.
 */
import { randomUUID } from 'node:crypto'
import { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { EventDocument } from '../domain/documents.ts'
import type {
  CommitResult,
  DocumentByKind,
  DocumentKind,
  NodeAck,
  Store,
  StoreSnapshot,
  Write,
} from '../domain/store.ts'
import { followChanges, readChanges } from './changes.ts'
import { decodeDocument, decodeObserved, encodePayload } from './codec.ts'
import { guardRedis, type RedisConnection } from './connection.ts'
import { fieldOf, HASH_KINDS, type HashKind, type Keys, labelOf, replicaOfField } from './keys.ts'

/** The most writes of one commit: a script holds Redis up while it runs. */
export const MAX_WRITES_PER_COMMIT = 500
const KEPT_CHANGES = 10_000
const KEPT_EVENTS = 50
/** Nobody can ask for the events of what was deleted, unless its name comes back soon. */
const EVENTS_OF_DELETED_TTL_S = 3_600
const SCAN_BATCH = 1_000
/** An Envoy of a scheduler that died stops counting after this (I2). */
const ACKS_TTL_MS = 5_000

export interface RedisStoreDeps {
  readonly redis: RedisConnection
  /** A connection of its own for each follower: reading the stream blocks. */
  readonly connect: () => RedisConnection
  readonly keys: Keys
  /** Names this scheduler on the board of ACKs. */
  readonly schedulerId: string
  /** The token of the lease, while held (I7). */
  readonly fencingToken: () => string | undefined
  readonly log: Logger
}

/** @returns a store whose every method answers or throws STORE_UNAVAILABLE within the connection's command timeout. */
export function createRedisStore(deps: RedisStoreDeps): Store {
  const { redis, keys } = deps
  return {
    load: () => load(redis, keys),
    commit: (writes) => commit(deps, writes),
    events: async (subject) => {
      const raw = await guardRedis('read events', () => redis.lrange(keys.events(subject), 0, -1))
      return raw.map((json) => JSON.parse(json) as EventDocument)
    },
    changesSince: (afterRevision) => readChanges(redis, keys, afterRevision),
    follow: (afterRevision, signal) => followChanges(deps, afterRevision, signal),
    putAcks: async (acks) => {
      await guardRedis('write ACKs', async () => {
        await redis.set(keys.ackBoard(deps.schedulerId), JSON.stringify(acks), 'PX', ACKS_TTL_MS)
        await redis.sadd(keys.ackBoards, deps.schedulerId)
      })
    },
    acks: () => readAcks(redis, keys),
  }
}

async function commit(deps: RedisStoreDeps, writes: readonly Write[]): Promise<CommitResult> {
  const token = deps.fencingToken()
  if (token === undefined) return { kind: 'fenced' }
  if (writes.length === 0 || writes.length > MAX_WRITES_PER_COMMIT) {
    const bounds = `1 to ${String(MAX_WRITES_PER_COMMIT)}`
    throw new ServingError('INVARIANT_BROKEN', `a commit of ${String(writes.length)} writes; it takes ${bounds}`)
  }
  const { names, parameters } = toScriptArguments(deps.keys, writes)
  const limits = [token, ...[KEPT_CHANGES, KEPT_EVENTS, EVENTS_OF_DELETED_TTL_S].map(String)]
  const [kind, detail] = await guardRedis('write', () =>
    deps.redis.commitDocuments(names.length, ...names, ...limits, ...parameters),
  )
  switch (kind) {
    case 'committed':
      return { kind, revision: Number(detail) }
    case 'conflict':
      return { kind, key: String(detail) }
    case 'fenced':
      return { kind }
    default:
      throw new ServingError('INVARIANT_BROKEN', `commit.lua answered ${kind}`)
  }
}

/** Of what people apply; replicas and what is observed on them have none. */
const hasEvents = (write: Write): write is Exclude<Write, { kind: 'event' | 'observed' | 'replica' | 'gateway' }> =>
  write.kind !== 'event' && write.kind !== 'observed' && write.kind !== 'replica' && write.kind !== 'gateway'

/** KEYS and the per-write part of ARGV, as `lua/commit.lua` documents them. */
function toScriptArguments(keys: Keys, writes: readonly Write[]): { names: string[]; parameters: string[] } {
  const names = [keys.fence, keys.revision, keys.changes, ...HASH_KINDS.map((kind) => keys.hash[kind])]
  const indexByName = new Map(names.map((name, index) => [name, index + 1]))
  const indexOf = (name: string): string => {
    const index = indexByName.get(name) ?? names.push(name)
    indexByName.set(name, index)
    return String(index)
  }
  const parameters = writes.flatMap((write) => {
    if (write.kind === 'event') return [indexOf(keys.events(write.subject)), write.subject, '', encodePayload(write)]
    const expected = write.kind === 'observed' ? '' : String(write.expectedRevision)
    return [indexOf(keys.hash[write.kind]), fieldOf(write), expected, encodePayload(write)]
  })
  for (const write of writes)
    if (hasEvents(write) && write.document === undefined) {
      const subject = `${write.kind}/${write.name}`
      parameters.push(indexOf(keys.events(subject)), subject, '', '')
    }
  return { names, parameters }
}

async function load(redis: RedisConnection, keys: Keys): Promise<StoreSnapshot> {
  await guardRedis('write the store id', () => redis.setnx(keys.storeId, randomUUID()))
  const storeId = (await guardRedis('read the store id', () => redis.get(keys.storeId))) ?? ''
  // The revision first: what is written while the hashes are read comes again from the change stream.
  const revision = Number((await guardRedis('read the revision', () => redis.get(keys.revision))) ?? 0)
  const [models, servers, replicas, pipelines, experiments, gateways, observed] = await Promise.all([
    loadHash(redis, keys, 'model'),
    loadHash(redis, keys, 'server'),
    loadHash(redis, keys, 'replica'),
    loadHash(redis, keys, 'pipeline'),
    loadHash(redis, keys, 'experiment'),
    loadHash(redis, keys, 'gateway'),
    readHash(redis, keys, 'observed'),
  ])
  return {
    models,
    servers,
    replicas,
    pipelines,
    experiments,
    gateways,
    observed: [...observed].map(([field, value]) => ({
      replica: replicaOfField(field),
      document: decodeObserved(`observed/${field}`, value),
    })),
    revision,
    storeId,
  }
}

async function loadHash<K extends DocumentKind>(
  redis: RedisConnection,
  keys: Keys,
  kind: K,
): Promise<DocumentByKind[K][]> {
  const entries = await readHash(redis, keys, kind)
  return [...entries].map(([name, value]) => decodeDocument(kind, labelOf(kind, name), value))
}

/** In batches, so that no single command holds Redis up; HSCAN may repeat a field, the last one read counts. */
async function readHash(redis: RedisConnection, keys: Keys, kind: HashKind): Promise<Map<string, string>> {
  const entries = new Map<string, string>()
  let cursor = '0'
  do {
    const [next, flat] = await guardRedis('be read', () => redis.hscan(keys.hash[kind], cursor, 'COUNT', SCAN_BATCH))
    for (let at = 0; at + 1 < flat.length; at += 2) entries.set(flat[at] ?? '', flat[at + 1] ?? '')
    cursor = next
  } while (cursor !== '0')
  return entries
}

async function readAcks(redis: RedisConnection, keys: Keys): Promise<readonly NodeAck[]> {
  return guardRedis('read ACKs', async () => {
    const schedulers = await redis.smembers(keys.ackBoards)
    if (schedulers.length === 0) return []
    const boards = await redis.mget(schedulers.map((scheduler) => keys.ackBoard(scheduler)))
    const gone = schedulers.filter((_, index) => boards[index] === null)
    if (gone.length > 0) await redis.srem(keys.ackBoards, gone)
    return boards.flatMap((board) => (board === null || board === undefined ? [] : (JSON.parse(board) as NodeAck[])))
  })
}
