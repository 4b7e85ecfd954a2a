/** How far the scheduler's generations have been acted upon. */
export interface Progress {
  /** `unsettled`: the models that something must still be done for, now that `generation` is desired. */
  update(generation: number, unsettled: Iterable<string>): void
  /** The newest generation of which nothing is left to do. */
  applied(): number
  /** A new numbering begins. */
  restart(): void
}

export function createProgress(): Progress {
  let since = new Map<string, number>()
  let seen = 0
  return {
    update(generation, unsettled) {
      seen = generation
      since = new Map([...unsettled].map((name) => [name, since.get(name) ?? generation]))
    },
    applied: () => Math.max(0, Math.min(seen, oldest(since) - 1)),
    restart() {
      since = new Map()
      seen = 0
    },
  }
}

function oldest(since: ReadonlyMap<string, number>): number {
  let least = Infinity
  for (const generation of since.values()) least = Math.min(least, generation)
  return least
}
