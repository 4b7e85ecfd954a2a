/**
 * What a broker remembers of our polls (KIP-227), so that each tells only what has changed. Pure. After any failure nobody
 * knows what it remembers: then everything is told again.
 */
import type { FetchPoint } from './client.ts'

export interface SessionRequest {
  readonly sessionId: number
  /** 0: all that is wanted follows; a session with this id ends. */
  readonly epoch: number
  /** New ones, and those that are wanted from elsewhere. */
  readonly told: readonly FetchPoint[]
  /** No longer wanted. */
  readonly forgotten: readonly FetchPoint[]
}

const MAX_EPOCH = 0x7fff_ffff

export class FetchSession {
  #id = 0
  #epoch = 0
  #known: ReadonlySet<FetchPoint> = new Set()

  /** To be sent; `accepted` or `reset` must follow. A point that is the same object as before is not told again. */
  next(points: readonly FetchPoint[]): SessionRequest {
    const wanted = new Set(points)
    const known = this.#epoch === 0 ? new Set<FetchPoint>() : this.#known
    const told = points.filter((point) => !known.has(point))
    const keys = new Set(told.map((point) => keyOf(point)))
    const forgotten: FetchPoint[] = []
    for (const point of known) if (!wanted.has(point) && !keys.has(keyOf(point))) forgotten.push(point)
    this.#known = wanted
    return { sessionId: this.#id, epoch: this.#epoch, told, forgotten }
  }

  /** 0: the broker remembers nothing, for want of room. */
  accepted(sessionId: number): void {
    this.#id = sessionId
    this.#epoch = sessionId === 0 ? 0 : this.#epoch === MAX_EPOCH ? 1 : this.#epoch + 1
  }

  reset(): void {
    this.#epoch = 0
  }
}

const keyOf = ({ topicId, partition }: FetchPoint): string => `${topicId}:${String(partition)}`
