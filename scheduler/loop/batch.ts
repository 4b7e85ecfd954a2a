/**
 * The writes of one commit. They are in memory before they are in Redis, so that each decision sees the ones before it;
 * a commit that fails is undone. Only what was settled is told to anybody.
 */
import type { ClusterState } from '../domain/cluster.ts'
import { atRevision, type DocumentChange } from '../domain/document-change.ts'
import type { Write } from '../domain/store.ts'

type EventWrite = Extract<Write, { kind: 'event' }>
type DocumentWrite = Exclude<Write, EventWrite>

interface Pending {
  /** What stands in Redis. */
  readonly before: DocumentChange['before']
  readonly write: DocumentWrite
}

export interface Batch {
  /** Applies writes in memory; returns what they changed. */
  readonly add: (writes: readonly Write[]) => readonly DocumentChange[]
  readonly size: () => number
  /** For the store: each document once, expecting the revision that Redis has. */
  readonly writes: () => readonly Write[]
  /** The commit was made: documents get its revision. Returns what changed, from before the batch to now. */
  readonly settle: (revision: number) => readonly DocumentChange[]
  /** The commit was not made: memory is as Redis was. */
  readonly undo: () => void
}

export function createBatch(cluster: ClusterState): Batch {
  const pending = new Map<string, Pending>()
  const events: EventWrite[] = []

  function addDocument(write: DocumentWrite): readonly DocumentChange[] {
    const change = cluster.apply(write)
    if (change === undefined) return []
    const known = pending.get(keyOf(write))
    pending.set(keyOf(write), { before: known === undefined ? change.before : known.before, write })
    return [change]
  }

  return {
    add: (writes) =>
      writes.flatMap((write) => {
        if (write.kind !== 'event') return addDocument(write)
        events.push(write)
        return []
      }),
    size: () => pending.size + events.length,
    writes: () => [...[...pending.values()].map(expecting), ...events],
    settle: (revision) =>
      [...pending.values()].flatMap(({ before, write }) => {
        const change = cluster.apply(atRevision(write, revision))
        return change === undefined ? [] : [{ ...change, before } as DocumentChange]
      }),
    undo: () => {
      for (const { before, write } of [...pending.values()].toReversed())
        cluster.apply({ ...write, document: before } as DocumentWrite)
    },
  }
}

const keyOf = (write: DocumentWrite): string =>
  write.kind === 'observed' ? `observed ${write.replica} ${write.name}` : `${write.kind} ${write.name}`

function expecting({ before, write }: Pending): Write {
  if (write.kind === 'observed') return write
  return { ...write, expectedRevision: before !== undefined && 'revision' in before ? before.revision : 0 }
}
