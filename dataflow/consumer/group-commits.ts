/** Commits of subscribers: for each group what is new, all its topics in one request, a few groups at a time. */
import type { Logger } from '../../kit/log.ts'
import type { KafkaReader, Position } from '../kafka/client.ts'
import type { Follower } from './follower.ts'

const AT_ONCE = 8

interface Committing {
  readonly topic: string
  readonly group: string
  readonly followers: ReadonlyMap<number, Follower>
}

export interface GroupCommitsDeps {
  readonly reader: KafkaReader
  readonly everyMs: number
  readonly shared: (topic: string, partition: number) => bigint | undefined
  readonly log: Logger
}

export class GroupCommits {
  readonly #deps: GroupCommitsDeps
  /** By group. */
  #due = new Map<string, Set<Committing>>()
  #timer: NodeJS.Timeout | undefined
  #committing: Promise<void> = Promise.resolve()

  constructor(deps: GroupCommitsDeps) {
    this.#deps = deps
  }

  soon(one: Committing): void {
    const some = this.#due.get(one.group) ?? new Set()
    some.add(one)
    this.#due.set(one.group, some)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.#next()
    }, this.#deps.everyMs)
  }

  /** Of one who leaves: resolves when it is committed, or could not be. */
  async last(one: Committing): Promise<void> {
    this.#due.get(one.group)?.delete(one)
    this.#committing = this.#committing.then(async () => {
      await this.#commit(one.group, [one], true)
    })
    await this.#committing
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#committing
  }

  /** One round after the other, so that no commit overtakes a later one. */
  #next(): Promise<void> {
    const groups = [...this.#due]
    this.#due = new Map()
    this.#committing = this.#committing.then(async () => {
      const work = async (): Promise<void> => {
        for (let next = groups.shift(); next !== undefined; next = groups.shift())
          if (!(await this.#commit(next[0], [...next[1]], false))) for (const one of next[1]) this.soon(one)
      }
      await Promise.all(Array.from({ length: AT_ONCE }, work))
    })
    return this.#committing
  }

  /** Of those that have left nothing is committed any more: somebody else may read for the group. False: to be tried again. */
  async #commit(group: string, some: readonly Committing[], isLast: boolean): Promise<boolean> {
    const due: { readonly follower: Follower; readonly position: Position }[] = []
    for (const { topic, followers } of some)
      for (const [partition, follower] of followers) {
        if (follower.isOver !== isLast) continue
        const offset = follower.toCommit(this.#deps.shared(topic, partition))
        if (offset !== undefined) due.push({ follower, position: { topic, partition, offset } })
      }
    if (due.length === 0) return true
    const positions = due.map(({ position }) => position)
    try {
      await this.#deps.reader.commit(group, positions)
      for (const { follower, position } of due) follower.committed(position.offset)
      return true
    } catch (error) {
      this.#deps.log.warn({ group, error: String(error) }, 'offsets cannot be committed: tried again')
      return false
    }
  }
}
