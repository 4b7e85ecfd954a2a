/** What one process was told of its units, and the messages that tell it how it stands with them now. */
import type { HeldUnit__Output } from '../../api/generated/millrace/dataflow/HeldUnit.ts'
import type { SchedulerMessage } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import type { HeldUnit, Share } from './shares.ts'

export interface UnitsToTell {
  readonly kind: 'MODEL' | 'PIPELINE'
  readonly shareOf: (unit: string) => Share | undefined
  /** What another store gave and this one does not know. */
  readonly claimed: () => readonly HeldUnit[]
}

export interface UnitsTold {
  readonly changed: (unit: string) => void
  readonly released: (unit: string) => void
  /** What is to be told now; each is taken as told when it is taken. */
  readonly messages: () => IterableIterator<SchedulerMessage>
  /** What it goes on reading: all else that it said it reads it lets go, now that it is told so. */
  readonly synchronise: (isOfThisStore: boolean) => readonly HeldUnit__Output[]
}

type Told = Pick<Share, 'kind' | 'generation'>

/** @param held what it reads already, as it says */
export function createUnitsTold(held: readonly HeldUnit__Output[], units: UnitsToTell | undefined): UnitsTold {
  const told = new Map<string, Told>(held.map(({ name, generation }) => [name, { kind: 'reads', generation }]))
  const dirty = new Set<string>()

  function* messages(): IterableIterator<SchedulerMessage> {
    if (units === undefined) return
    for (const name of dirty) {
      dirty.delete(name)
      const share = units.shareOf(name)
      const before = told.get(name)
      if (share === undefined) {
        told.delete(name)
        // It was assigned on this stream, and somebody else has it now: it did not release it in time.
        if (before?.kind === 'reads') yield { unitRevoke: { kind: units.kind, name, generation: before.generation } }
        continue
      }
      if (before?.kind === share.kind && before.generation === share.generation) continue
      told.set(name, share)
      const { generation, gone, handedOver } = share
      if (share.kind === 'reads') yield { unitAssign: { kind: units.kind, name, generation, handedOver } }
      else yield { unitRevoke: { kind: units.kind, name, generation, gone } }
    }
  }

  return {
    changed: (unit) => {
      dirty.add(unit)
    },
    released: (unit) => {
      told.delete(unit)
    },
    messages,
    synchronise: (isOfThisStore) => {
      if (units === undefined) return []
      const claimed = new Set(isOfThisStore ? [] : units.claimed().map(({ name }) => name))
      for (const name of told.keys()) if (units.shareOf(name) === undefined && !claimed.has(name)) told.delete(name)
      return [...told].map(([name, { generation }]) => ({ kind: units.kind, name, generation }))
    },
  }
}
