/**
 * Who leads. I7: one writer: the scheduler that holds the lease; its fencing token is checked by every write, so a
 * leader that was paused or cut off cannot write after another took over, whatever it believes.
 *
 * While Redis is away a leader goes on leading: nobody can write then, and its token decides when Redis is back.
 */
import { pause } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { guardRedis, type RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

/** While Redis is away; short, because it decides how soon a restarted scheduler leads. */
const RETRY_MS = 100

export interface Leader {
  readonly instanceId: string
  /** Where its gRPC API is. */
  readonly address: string
  /** Where its API for agents is. */
  readonly agentAddress: string
  /** Where its REST API is; an older scheduler does not say. */
  readonly httpAddress?: string
}

export type Leadership =
  | { readonly kind: 'leading'; readonly token: string }
  | { readonly kind: 'following'; readonly leader: Leader }
  /** Not known yet, or just lost. */
  | { readonly kind: 'unknown' }

export interface LeaseDeps {
  readonly redis: RedisConnection
  readonly keys: Keys
  readonly ttlMs: number
  readonly onChange: (leadership: Leadership) => void
  readonly log: Logger
}

export interface Lease extends Running {
  /** Starts competing. A scheduler started again under the same instance id takes its own lease over at once. */
  readonly compete: (self: Leader) => void
  readonly current: () => Leadership
  /** The fencing token, while this scheduler leads. */
  readonly token: () => string | undefined
  /** A write was refused because a newer leader exists. */
  readonly lost: () => void
}

export function createLease(deps: LeaseDeps): Lease {
  const abort = new AbortController()
  let leadership: Leadership = { kind: 'unknown' }
  let justStarted = true
  let running: Promise<void> | undefined

  const become = (next: Leadership): void => {
    if (abort.signal.aborted || sameLeadership(leadership, next)) return
    leadership = next
    deps.log.info(describe(next), 'leadership changed')
    deps.onChange(next)
  }
  /** Returns how long to wait until the next time. */
  async function renew(self: Leader): Promise<number> {
    const held = leadership.kind === 'leading' ? leadership.token : '0'
    try {
      const answer = await holdLease(deps, self, held, justStarted)
      justStarted = false
      become(answer)
      return Math.floor(deps.ttlMs / 3)
    } catch (error) {
      const failure = toServingError(error)
      deps.log.debug({ code: failure.code, error: failure.message }, 'lease not renewed')
      return RETRY_MS
    }
  }
  async function run(self: Leader): Promise<void> {
    while (!abort.signal.aborted) await pause(await renew(self), abort.signal)
  }

  return {
    compete: (self) => {
      running ??= run(self)
    },
    current: () => leadership,
    token: () => (leadership.kind === 'leading' ? leadership.token : undefined),
    lost: () => {
      if (leadership.kind === 'leading') become({ kind: 'unknown' })
    },
    stop: async () => {
      abort.abort()
      await running
      if (leadership.kind === 'leading') await release(deps, leadership.token)
    },
  }
}

async function holdLease(deps: LeaseDeps, self: Leader, heldToken: string, justStarted: boolean): Promise<Leadership> {
  const lease = JSON.stringify(self)
  const parameters = [self.instanceId, lease, String(deps.ttlMs), heldToken, justStarted ? '1' : '0']
  const [kind, detail] = await guardRedis('renew the lease', () =>
    deps.redis.holdLease(2, deps.keys.lease, deps.keys.fence, ...parameters),
  )
  return kind === 'held'
    ? { kind: 'leading', token: detail }
    : { kind: 'following', leader: JSON.parse(detail) as Leader }
}

async function release(deps: LeaseDeps, token: string): Promise<void> {
  try {
    await guardRedis('release the lease', () => deps.redis.releaseLease(2, deps.keys.lease, deps.keys.fence, token))
  } catch (error) {
    deps.log.info({ error: toServingError(error).message }, 'lease left to expire')
  }
}

function sameLeadership(a: Leadership, b: Leadership): boolean {
  switch (a.kind) {
    case 'leading':
      return b.kind === 'leading' && a.token === b.token
    case 'following':
      return b.kind === 'following' && a.leader.address === b.leader.address
    case 'unknown':
      return b.kind === 'unknown'
  }
}

/** For the log: tokens say nothing to people. */
function describe(leadership: Leadership): object {
  return leadership.kind === 'following'
    ? { leadership: leadership.kind, leader: leadership.leader.instanceId, address: leadership.leader.address }
    : { leadership: leadership.kind }
}
