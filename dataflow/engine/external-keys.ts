/**
 * What came from other pipelines for one that takes from them, by request: each waits until the `input` section is complete, or
 * its window has ended. Pure but for the clock that it is given.
 *
 * - A key gives one request. What comes of it later, while it is remembered, is a duplicate.
 * - Bounded: beyond so many keys or bytes the oldest is given up.
 */
import { ReleasingMap } from '../../kit/releasing-map.ts'
import { advance, start, type Run } from '../executor/executor.ts'
import type { State } from '../executor/state.ts'
import type { EdgeMessage, Effect } from '../executor/types.ts'
import type { InferenceRequest } from '../../api/oip/inference.ts'
import type { ExternalPlan } from '../plan/external.ts'

/** Records of other topics may be read so much later than their time says. */
export const LATE_MS = 10_000

/** A record that came; `T` is whatever the caller needs of it at the end. */
export interface Arrival<T> {
  readonly key: string
  readonly timestampMs: number
  readonly bytes: number
  /** Of which edge, by its `endKey`. */
  readonly place: string
  readonly message: EdgeMessage
  readonly own: T
}

export interface Joined<T> {
  readonly key: string
  /** The plan that it began with. */
  readonly external: ExternalPlan
  readonly request: InferenceRequest
  /** In the order in which they came; at least one. */
  readonly of: readonly Arrival<T>[]
}

/** Why nothing came of records. */
export type Ending = 'expired' | 'overflow' | 'duplicate' | 'late'

export interface ExternalKeysDeps<T> {
  readonly limits: { readonly maxKeys: number; readonly maxBytes: number }
  readonly nowMs: () => number
  /** Returns what cancels it. */
  readonly at: (atMs: number, work: () => void) => () => void
  readonly onJoined: (joined: Joined<T>) => void
  readonly onEnded: (key: string, of: readonly Arrival<T>[], why: Ending) => void
}

interface Open<T> {
  readonly key: string
  readonly external: ExternalPlan
  readonly timers: Set<() => void>
  readonly of: Arrival<T>[]
  state: State
}

export class ExternalKeys<T> {
  readonly #deps: ExternalKeysDeps<T>
  /** From the oldest on. */
  readonly #open = new ReleasingMap<string, Open<T>>()
  /** Keys that gave a request, with until when that is remembered, from the oldest on. */
  readonly #given = new Map<string, number>()
  #bytes = 0

  constructor(deps: ExternalKeysDeps<T>) {
    this.#deps = deps
  }

  get open(): number {
    return this.#open.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** It gave a request before this run. */
  given(key: string, forMs: number): void {
    const nowMs = this.#deps.nowMs()
    for (const [old, untilMs] of this.#given) {
      if (untilMs > nowMs && this.#given.size < this.#deps.limits.maxKeys) break
      this.#given.delete(old)
    }
    this.#given.set(key, nowMs + forMs)
  }

  /** One that is open goes on with the plan that it began with. */
  offer(external: ExternalPlan, arrival: Arrival<T>): void {
    const { key } = arrival
    const untilMs = this.#given.get(key)
    if (untilMs !== undefined && untilMs > this.#deps.nowMs()) {
      this.#deps.onEnded(key, [arrival], 'duplicate')
      return
    }
    const known = this.#open.get(key)
    const edge = (known?.external ?? external).edges.get(arrival.place)?.edge
    const first = known?.of[0]
    const isFar = first !== undefined && Math.abs(first.timestampMs - arrival.timestampMs) > external.windowMs
    if (edge === undefined || isFar) {
      this.#deps.onEnded(key, [arrival], 'late')
      return
    }
    const open = known ?? this.#begin(key, external)
    open.of.push(arrival)
    this.#bytes += arrival.bytes
    const { message } = arrival
    const nowMs = this.#deps.nowMs()
    this.#take(open, advance(open.external.plan, open.state, { kind: 'arrived', edge, visit: [], message, nowMs }))
    this.#keepBounds()
  }

  /** Forgets what is open: whoever reads next begins with it. */
  close(): void {
    for (const open of this.#open.values()) this.#forget(open)
  }

  #begin(key: string, external: ExternalPlan): Open<T> {
    const nowMs = this.#deps.nowMs()
    const { state, effects } = start(external.plan, { nowMs, deadlineMs: nowMs + lifeMs(external), isOpen: true })
    const open: Open<T> = { key, external, timers: new Set(), of: [], state }
    this.#open.set(key, open)
    this.#take(open, { state, effects })
    return open
  }

  #take(open: Open<T>, { state, effects }: Run): void {
    open.state = state
    for (const effect of effects) this.#carryOut(open, effect)
  }

  #carryOut(open: Open<T>, effect: Effect): void {
    if (!this.#isOpen(open)) return
    if (effect.kind === 'setTimer') {
      const { timer, atMs } = effect
      open.timers.add(
        this.#deps.at(atMs, () => {
          if (!this.#isOpen(open)) return
          this.#take(open, advance(open.external.plan, open.state, { kind: 'timer', timer, nowMs: this.#deps.nowMs() }))
        }),
      )
    } else if (effect.kind === 'record' && effect.message.kind === 'request') {
      this.#forget(open)
      this.given(open.key, lifeMs(open.external))
      this.#deps.onJoined({ key: open.key, external: open.external, request: effect.message.request, of: open.of })
    } else if (effect.kind === 'finished') this.#end(open, 'expired')
  }

  #isOpen = (open: Open<T>): boolean => this.#open.get(open.key) === open

  #end(open: Open<T>, why: Ending): void {
    this.#forget(open)
    this.#deps.onEnded(open.key, open.of, why)
  }

  #forget(open: Open<T>): void {
    this.#open.delete(open.key)
    for (const cancel of open.timers) cancel()
    for (const { bytes } of open.of) this.#bytes -= bytes
  }

  #keepBounds(): void {
    const { maxKeys, maxBytes } = this.#deps.limits
    for (const oldest of this.#open.values()) {
      if (this.#open.size <= maxKeys && this.#bytes <= maxBytes) return
      this.#end(oldest, 'overflow')
    }
  }
}

/** A window of triggers may open at the end of one of data. */
export const lifeMs = ({ windowMs, isOuter }: ExternalPlan): number => (isOuter ? 2 : 1) * windowMs + LATE_MS
