/**
 * What one agent shall have, numbered: each change gets the next generation, so an agent that names the generation it
 * has can be told only what changed since. Pure.
 */
import type { DesiredModelVersion } from '../domain/desired.ts'
import type { InternalName } from '../domain/documents.ts'

/** Removals that are remembered; an agent that is further behind gets everything. */
const MAX_REMOVALS = 10_000

export interface LedgerDifference {
  readonly generation: number
  readonly load: readonly DesiredModelVersion[]
  readonly unload: readonly InternalName[]
}

export interface Ledger {
  readonly epoch: string
  readonly generation: () => number
  readonly load: (desired: DesiredModelVersion) => void
  readonly unload: (name: InternalName) => void
  readonly everything: () => LedgerDifference
  /** Undefined when that generation is not known any more, or not yet. */
  readonly since: (generation: number) => LedgerDifference | undefined
}

export function createLedger(epoch: string, desired: readonly DesiredModelVersion[], firstGeneration = 1): Ledger {
  let generation = firstGeneration
  let oldestKnown = firstGeneration
  const wanted = new Map<InternalName, { desired: DesiredModelVersion; generation: number }>()
  const removed = new Map<InternalName, number>()
  for (const model of desired) wanted.set(model.internalName, { desired: model, generation })

  function forgetOldRemovals(): void {
    for (const [name, at] of removed) {
      if (removed.size <= MAX_REMOVALS) return
      removed.delete(name) // the oldest: a map keeps the order in which it was filled
      oldestKnown = at
    }
  }

  return {
    epoch,
    generation: () => generation,
    load: (model) => {
      generation += 1
      removed.delete(model.internalName)
      wanted.set(model.internalName, { desired: model, generation })
    },
    unload: (name) => {
      generation += 1
      wanted.delete(name)
      removed.delete(name)
      removed.set(name, generation)
      forgetOldRemovals()
    },
    everything: () => ({ generation, load: [...wanted.values()].map((entry) => entry.desired), unload: [] }),
    since: (known) => {
      if (known < oldestKnown || known > generation) return undefined
      return {
        generation,
        load: [...wanted.values()].filter((entry) => entry.generation > known).map((entry) => entry.desired),
        unload: [...removed].filter(([, at]) => at > known).map(([name]) => name),
      }
    },
  }
}
