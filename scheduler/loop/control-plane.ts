/**
 * The documents in memory and who may change them. A scheduler that follows applies what the leader commits; one that
 * leads commits itself. Both serve reads and xDS from what they have.
 *
 * I7: one writer: only the lease's holder runs a leadership. I9: state that was lost is not followed: the process ends, and
 * the next one starts with what Envoys and agents still have.
 */
import { backoffMs, pause } from '../../kit/backoff.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { Store, StoreChange, StoreSnapshot } from '../domain/store.ts'
import type { Leader, Leadership } from '../store/lease.ts'
import { toWrites } from './adopt.ts'
import type { Feed } from './feed.ts'
import { type LeadershipDeps, type LeadershipRun, startLeadership } from './leadership.ts'
import type { Request } from './writer.ts'

const RETRY = { minMs: 100, maxMs: 2_000 }

export interface ControlPlaneDeps {
  readonly store: Store
  readonly snapshot: StoreSnapshot
  /** The documents of that snapshot. */
  readonly cluster: ClusterState
  readonly feed: Feed
  /** Tells Envoys what was committed. */
  readonly route: (changes: readonly DocumentChange[], revision: number) => void
  readonly leadership: Omit<LeadershipDeps, 'store' | 'storeId' | 'cluster' | 'publish' | 'resync' | 'onFenced'>
  /** The lease is not this scheduler's any more. */
  readonly onFenced: () => void
  /** The process cannot go on. */
  readonly onFatal: (error: ServingError) => void
  readonly log: Logger
}

export type Role =
  | { readonly kind: 'leading'; readonly run: LeadershipRun }
  | { readonly kind: 'following'; readonly leader: Leader | undefined }

export interface ControlPlane extends Running {
  readonly cluster: ClusterState
  readonly revision: () => number
  readonly role: () => Role
  /** Done when it was first decided whether this scheduler leads. */
  readonly settled: Promise<void>
  /** @throws ServingError NOT_LEADER naming the leader, or what Writer.submit throws. */
  readonly submit: <T>(request: Request<T>) => Promise<T>
  /** The lease changed hands. */
  readonly lead: (leadership: Leadership) => void
  /** Reconcile these soon, if this scheduler leads: as LeadershipRun.mark takes them. */
  readonly kick: (keys: Iterable<string>) => void
}

export function startControlPlane(deps: ControlPlaneDeps): ControlPlane {
  const { store, snapshot, cluster, log } = deps
  let revision = snapshot.revision
  let role: Role = { kind: 'following', leader: undefined }
  let turning: Promise<void> = Promise.resolve()
  let follower = startFollowing()
  const ended = new AbortController()
  let settle = (): void => undefined
  const settled = new Promise<void>((resolve) => {
    settle = resolve
  })

  function publish(changes: readonly DocumentChange[], at: number): void {
    revision = at
    deps.route(changes, at)
    deps.feed.publish(changes)
  }

  /** Somebody else's commit. */
  function applyCommit(change: StoreChange): void {
    const changes = change.writes.flatMap((write) => cluster.apply(write) ?? [])
    publish(changes, change.revision)
    if (role.kind === 'leading') role.run.changed(changes)
  }

  async function catchUp(): Promise<void> {
    try {
      for (const change of await store.changesSince(revision)) applyCommit(change)
    } catch (error) {
      if (toServingError(error).code !== 'STORE_GAP') throw error
      adopt(await store.load())
    }
  }

  /** Everything as it is in the store now; what is not there any more goes. */
  function adopt(found: StoreSnapshot): void {
    if (found.storeId !== snapshot.storeId || found.revision < revision) {
      const message =
        'Redis has lost the state that this scheduler was working with: starting again without touching Envoy'
      deps.onFatal(new ServingError('STORE_GAP', message)) // I9
      throw new ServingError('STORE_UNAVAILABLE', message)
    }
    log.warn({ from: revision, to: found.revision }, 'changes were missed, all state was read again')
    applyCommit({ revision: found.revision, writes: toWrites(cluster, found) })
  }

  function startFollowing(): Running {
    const abort = new AbortController()
    const follow = async (): Promise<void> => {
      for (let attempt = 0; !abort.signal.aborted; attempt += 1) {
        try {
          for await (const change of store.follow(revision, abort.signal)) {
            attempt = 0
            applyCommit(change)
          }
        } catch (error) {
          const failure = toServingError(error)
          if (failure.code === 'STORE_GAP') await catchUp().catch(() => undefined) // tried again below
          log.debug({ code: failure.code, error: failure.message }, 'following stopped, starting again')
          await pause(backoffMs(attempt, RETRY), abort.signal)
        }
      }
    }
    const following = follow()
    return {
      stop: async () => {
        abort.abort()
        await following
      },
    }
  }

  /** One after the other: a leadership ends before anything else begins. */
  async function turn(leadership: Leadership): Promise<void> {
    if (role.kind === 'leading') {
      const { run } = role
      role = { kind: 'following', leader: undefined }
      await run.stop()
      follower = startFollowing()
    }
    if (leadership.kind === 'following') role = { kind: 'following', leader: leadership.leader }
    if (leadership.kind !== 'leading' || ended.signal.aborted) return
    await follower.stop()
    for (let attempt = 0; !ended.signal.aborted; attempt += 1) {
      try {
        await catchUp()
        break
      } catch (error) {
        log.warn({ error: toServingError(error).message }, 'not leading yet: cannot read what was missed')
        await pause(backoffMs(attempt, RETRY), ended.signal)
      }
    }
    if (ended.signal.aborted) return
    const run = startLeadership({
      ...deps.leadership,
      store,
      storeId: snapshot.storeId,
      cluster,
      publish,
      resync: catchUp,
      onFenced: deps.onFenced,
    })
    role = { kind: 'leading', run }
    log.info({ revision, models: cluster.modelCount() }, 'leading')
  }

  return {
    cluster,
    revision: () => revision,
    role: () => role,
    settled,
    submit: (request) => (role.kind === 'leading' ? role.run.submit(request) : Promise.reject(notLeader(role.leader))),
    lead: (leadership) => {
      turning = turning
        .then(() => turn(leadership))
        .then(settle)
        .catch((error: unknown) => {
          deps.onFatal(toServingError(error))
        })
    },
    kick: (keys) => {
      if (role.kind === 'leading') role.run.mark(keys)
    },
    stop: async () => {
      ended.abort()
      await turning
      if (role.kind === 'leading') await role.run.stop()
      await follower.stop()
    },
  }
}

const notLeader = (leader: Leader | undefined): ServingError =>
  new ServingError(
    'NOT_LEADER',
    leader === undefined
      ? 'no scheduler leads at the moment: try again'
      : `this scheduler does not lead: write to ${leader.instanceId} at ${leader.address}${restOf(leader)}`,
  )

const restOf = ({ httpAddress }: Leader): string => (httpAddress === undefined ? '' : ` (REST: ${httpAddress})`)
