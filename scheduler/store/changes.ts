/**
 * Reading the change stream. An entry's id is the revision of its commit, so what is missing shows: a follower that
 * asks for more than the stream still holds, or that is ahead of it (Redis was emptied), must load again.
 */
import { ServingError } from '../../kit/errors.ts'
import type { EventDocument, InternalName, ObservedDocument, ReplicaKey } from '../domain/documents.ts'
import type { DocumentByKind, DocumentKind, EventSubject, StoreChange, Write } from '../domain/store.ts'
import { parsePayload } from './codec.ts'
import { guardRedis, type RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

const BLOCK_MS = 1_000
const READ_BATCH = 100

type StreamEntry = readonly [id: string, fields: readonly string[]]

export interface ChangesDeps {
  readonly connect: () => RedisConnection
  readonly keys: Keys
}

/**
 * Changes after a revision that are there now: what a write of unknown outcome did, or what was missed while following.
 * @throws ServingError STORE_GAP when changes were lost and everything must be loaded again.
 */
export async function readChanges(redis: RedisConnection, keys: Keys, afterRevision: number): Promise<StoreChange[]> {
  const changes: StoreChange[] = []
  let seen = afterRevision
  for (let behind = false; ;) {
    const entries = (await guardRedis('read changes', () =>
      redis.xrange(keys.changes, `(${String(seen)}-0`, '+', 'COUNT', READ_BATCH),
    )) as readonly StreamEntry[]
    for (const entry of entries) {
      changes.push(toChange(entry, seen))
      seen += 1
    }
    if (entries.length > 0) continue
    const wasBehind = behind
    behind = await isBehind(redis, keys, seen, wasBehind)
    if (!behind) return changes
  }
}

/**
 * Changes after a revision, for ever; ends when the signal aborts.
 * @throws ServingError STORE_GAP when changes were lost and everything must be loaded again.
 */
export async function* followChanges(
  deps: ChangesDeps,
  afterRevision: number,
  signal: AbortSignal,
): AsyncGenerator<StoreChange> {
  const redis = deps.connect()
  const disconnect = (): void => {
    redis.disconnect()
  }
  signal.addEventListener('abort', disconnect, { once: true })
  try {
    await ready(redis, signal)
    let seen = afterRevision
    let behind = false
    while (!signal.aborted) {
      const entries = await readAfter(redis, deps.keys, seen)
      for (const entry of entries) {
        yield toChange(entry, seen)
        seen += 1
      }
      behind = entries.length === 0 && (await isBehind(redis, deps.keys, seen, behind))
    }
  } catch (error) {
    if (!signal.aborted) throw error // the connection was closed to end a blocking read
  } finally {
    signal.removeEventListener('abort', disconnect)
    redis.disconnect()
  }
}

async function readAfter(redis: RedisConnection, keys: Keys, seen: number): Promise<readonly StreamEntry[]> {
  const answer = await guardRedis('follow changes', () =>
    redis.xread('COUNT', READ_BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', keys.changes, `${String(seen)}-0`),
  )
  return (answer?.[0]?.[1] ?? []) as unknown as readonly StreamEntry[]
}

/**
 * With nothing to read, the counter tells whether what was seen is the end. Behind it once may be a commit just made;
 * behind it twice with still nothing to read, or ahead of it, is lost history.
 */
async function isBehind(redis: RedisConnection, keys: Keys, seen: number, wasBehind: boolean): Promise<boolean> {
  const current = Number((await guardRedis('read the revision', () => redis.get(keys.revision))) ?? 0)
  if (current < seen || (current > seen && wasBehind)) throw gap(seen, current)
  return current > seen
}

/** @throws ServingError STORE_GAP when the entry is not the one after `seen`. */
function toChange([id, fields]: StreamEntry, seen: number): StoreChange {
  const revision = Number(id.slice(0, id.indexOf('-')))
  if (revision !== seen + 1) throw gap(seen, revision)
  return { revision, writes: decodeEntry(revision, fields) }
}

const gap = (seen: number, found: number): ServingError =>
  new ServingError('STORE_GAP', `changes after revision ${String(seen)} are lost, the next one is ${String(found)}`)

async function ready(redis: RedisConnection, signal: AbortSignal): Promise<void> {
  if (redis.status === 'ready' || signal.aborted) return
  await new Promise<void>((resolve, reject) => {
    redis.once('ready', resolve)
    redis.once('end', resolve)
    redis.once('error', (error: Error) => {
      reject(new ServingError('STORE_UNAVAILABLE', `Redis cannot be reached: ${error.message}`, { cause: error }))
    })
  })
}

function decodeEntry(revision: number, fields: readonly string[]): Write[] {
  const writes: Write[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    writes.push(decodeWrite(revision, fields[at] ?? '', fields[at + 1] ?? ''))
  }
  return writes
}

/** `label` is `<kind> <field>`, as `lua/commit.lua` wrote it. */
function decodeWrite(revision: number, label: string, payload: string): Write {
  const [kind = '', name = '', internalName = ''] = label.split(' ')
  switch (kind) {
    case 'model':
    case 'server':
    case 'replica':
    case 'pipeline':
    case 'experiment':
    case 'gateway':
      return { kind, name, expectedRevision: 0, document: document(kind, label, revision, payload) } as Write
    case 'observed':
      return {
        kind,
        replica: name as ReplicaKey,
        name: internalName as InternalName,
        document: payload === '' ? undefined : (parsePayload(label, payload) as unknown as ObservedDocument),
      }
    case 'event':
      return { kind, subject: name as EventSubject, event: JSON.parse(payload) as EventDocument }
    default:
      throw new ServingError(
        'STORE_SCHEMA_NEWER',
        `the change stream names ${label}, which this scheduler does not know`,
      )
  }
}

function document<K extends DocumentKind>(
  _kind: K,
  label: string,
  revision: number,
  payload: string,
): DocumentByKind[K] | undefined {
  if (payload === '') return undefined
  return Object.assign(parsePayload(label, payload), { revision }) as unknown as DocumentByKind[K]
}
