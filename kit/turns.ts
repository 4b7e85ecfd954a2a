/** So many at once; the others wait for their turn, in their order. */
export interface Turns {
  /** Resolves when there is room; to be called when it is given back. */
  readonly take: () => Promise<() => void>
  /** Undefined: nothing is free. */
  readonly takeNow: () => (() => void) | undefined
  readonly taken: () => number
}

export function createTurns(bound: number): Turns {
  let taken = 0
  const waiting: (() => void)[] = []
  const give = (): void => {
    const next = waiting.shift()
    if (next === undefined) taken -= 1
    else next()
  }
  return {
    take: async () => {
      if (taken < bound) taken += 1
      else await new Promise<void>((resolve) => waiting.push(resolve))
      return give
    },
    takeNow: () => {
      if (taken >= bound) return undefined
      taken += 1
      return give
    },
    taken: () => taken,
  }
}
