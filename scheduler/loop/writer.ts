/**
 * The one writer of this process. Requests and reconciliations are planned one after the other on the documents in
 * memory and committed many at a time, so writes of one process never conflict with each other.
 *
 * I7: the store checks the fencing token of each commit; `fenced` ends the leadership.
 */
import { backoffMs, pause } from '../../kit/backoff.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { Store, Write } from '../domain/store.ts'
import { type Batch, createBatch } from './batch.ts'

/** Below the store's bound, so that the writes of one more plan fit. */
export const BATCH_TARGET_WRITES = 400
/** What one plan may write at most. */
export const MAX_PLAN_WRITES = 100
const MAX_CONFLICTS = 5
/** More requests than this are not kept waiting for Redis. */
const MAX_QUEUED = 10_000
const RETRY = { minMs: 50, maxMs: 1_000 }

export interface Plan<T> {
  readonly writes: readonly Write[]
  readonly answer: T
}

export interface Request<T> {
  /** Pure; called again when another writer got in between. What it throws is the caller's answer. */
  readonly plan: (cluster: ClusterState) => Plan<T>
  /** Called with the documents exactly as committed, before anything else is planned. */
  readonly onCommitted?: (answer: T) => void
}

export interface WriterDeps {
  readonly store: Store
  readonly cluster: ClusterState
  /** Plans further work into the batch until it is full; `done` is called with what became of it. */
  readonly fill: (batch: Batch) => { readonly done: (committed: boolean) => void }
  readonly hasWork: () => boolean
  readonly onChanges: (changes: readonly DocumentChange[], revision: number) => void
  /** Reads what a commit of unknown outcome did; brings the documents in memory up to date. */
  readonly resync: () => Promise<void>
  readonly onFenced: () => void
  readonly onCommit: (outcome: 'committed' | 'conflict' | 'fenced' | 'unavailable', writes: number) => void
  readonly log: Logger
}

export interface Writer extends Running {
  /** Answers when it is in Redis. @throws what the plan throws, STORE_UNAVAILABLE, NOT_LEADER or VERSION_CONFLICT. */
  readonly submit: <T>(request: Request<T>) => Promise<T>
  /** There is work to fill a batch with. */
  readonly wake: () => void
}

interface Queued {
  readonly plan: (cluster: ClusterState) => readonly Write[]
  readonly committed: () => void
  readonly rejected: (error: ServingError) => void
  conflicts: number
}

export function startWriter(deps: WriterDeps): Writer {
  const abort = new AbortController()
  let queue: Queued[] = []
  let sleeper = new AbortController()
  let failures = 0
  let inDoubt = false

  const wake = (): void => {
    sleeper.abort()
  }
  const rejectAll = (requests: readonly Queued[], error: ServingError): void => {
    for (const request of requests) request.rejected(error)
  }

  function takeRequests(batch: Batch): Queued[] {
    const taken: Queued[] = []
    while (batch.size() < BATCH_TARGET_WRITES) {
      const request = queue.shift()
      if (request === undefined) break
      try {
        batch.add(request.plan(deps.cluster))
        taken.push(request)
      } catch (error) {
        request.rejected(toServingError(error)) // nothing of it is in the batch
      }
    }
    return taken
  }

  async function cycle(): Promise<void> {
    if (inDoubt) {
      await deps.resync()
      inDoubt = false
    }
    const batch = createBatch(deps.cluster)
    const taken = takeRequests(batch)
    const filled = deps.fill(batch)
    const outcome = await commit(batch)
    if (outcome.kind !== 'nothing') deps.onCommit(outcome.kind, batch.size())
    if (outcome.kind === 'committed' || outcome.kind === 'nothing') {
      if (outcome.kind === 'committed') deps.onChanges(batch.settle(outcome.revision), outcome.revision)
      for (const request of taken) request.committed()
      filled.done(true)
      failures = 0
      return
    }
    batch.undo()
    filled.done(false)
    inDoubt = true
    switch (outcome.kind) {
      case 'conflict':
        requeue(taken, outcome.key)
        return
      case 'fenced':
        rejectAll([...taken, ...queue.splice(0)], notLeader())
        deps.onFenced()
        abort.abort()
        return
      case 'unavailable':
        rejectAll(taken, outcome.error)
        throw outcome.error
    }
  }

  async function commit(batch: Batch) {
    if (batch.size() === 0) return { kind: 'nothing' } as const
    try {
      return await deps.store.commit(batch.writes())
    } catch (error) {
      return { kind: 'unavailable', error: toServingError(error) } as const
    }
  }

  function requeue(taken: readonly Queued[], key: string): void {
    deps.log.warn({ key }, 'somebody else wrote, planning again')
    for (const request of taken) request.conflicts += 1
    const error = new ServingError('VERSION_CONFLICT', `${key} keeps changing: read it again, then repeat`)
    rejectAll(
      taken.filter((request) => request.conflicts >= MAX_CONFLICTS),
      error,
    )
    queue = [...taken.filter((request) => request.conflicts < MAX_CONFLICTS), ...queue]
  }

  /** Until there is something to do, or `ms` have passed. */
  async function rest(ms: number): Promise<void> {
    sleeper = new AbortController()
    await pause(ms, AbortSignal.any([sleeper.signal, abort.signal]))
  }

  async function run(): Promise<void> {
    while (!abort.signal.aborted) {
      if (queue.length === 0 && !deps.hasWork()) await rest(2 ** 31 - 1)
      if (abort.signal.aborted) break
      try {
        await cycle()
      } catch (error) {
        const failure = toServingError(error)
        // Whoever waited for this attempt has waited long enough.
        rejectAll(queue.splice(0), failure)
        deps.log.warn({ code: failure.code, error: failure.message }, 'not written, trying again')
        await restAfterFailure()
      }
    }
    rejectAll(queue.splice(0), notLeader())
  }

  /** A new request is tried at once; the work of the loop itself waits. */
  async function restAfterFailure(): Promise<void> {
    failures += 1
    const until = performance.now() + backoffMs(failures, RETRY)
    for (let left = until - performance.now(); left > 0 && queue.length === 0 && !abort.signal.aborted;) {
      await rest(left)
      left = until - performance.now()
    }
  }

  const running = run()
  return {
    wake,
    submit: (request) =>
      new Promise((resolve, reject) => {
        if (abort.signal.aborted) {
          reject(notLeader())
          return
        }
        if (queue.length >= MAX_QUEUED) {
          reject(new ServingError('STORE_UNAVAILABLE', `${String(queue.length)} writes are waiting for Redis already`))
          return
        }
        queue.push(toQueued(request, resolve, reject))
        wake()
      }),
    stop: async () => {
      abort.abort()
      await running
    },
  }
}

function toQueued<T>(request: Request<T>, resolve: (answer: T) => void, reject: (error: Error) => void): Queued {
  let answer: T
  return {
    plan: (cluster) => {
      const plan = request.plan(cluster)
      if (plan.writes.length > MAX_PLAN_WRITES)
        throw new ServingError('INVARIANT_BROKEN', `a plan of ${String(plan.writes.length)} writes`)
      answer = plan.answer
      return plan.writes
    },
    committed: () => {
      request.onCommitted?.(answer)
      resolve(answer)
    },
    rejected: reject,
    conflicts: 0,
  }
}

const notLeader = (): ServingError => new ServingError('NOT_LEADER', 'this scheduler does not lead any more')
