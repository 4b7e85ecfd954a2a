/**
 * The units that this process reads from Kafka: one at a time of each, on the scheduler's word, and while no scheduler is there
 * those that were held last. A unit that was taken away is released only when what ran of it is done. After a start the scheduler
 * is waited for: somebody else may read by now what the last run held.
 *
 * I9: a Synchronised from another store than the one that gave what is held takes nothing away.
 */
import { Type } from 'typebox'
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import type { Logger } from '../../kit/log.ts'
import { createSavedFile, type SavedFile } from './saved-file.ts'

export const UNIT_KINDS = ['MODEL', 'PIPELINE'] as const
export type UnitKind = (typeof UNIT_KINDS)[number]

export interface Unit {
  readonly kind: UnitKind
  readonly name: string
  readonly generation: number
}

const SavedUnits = Type.Object({
  schemaVersion: Type.Literal(1),
  storeId: Type.String(),
  units: Type.Array(Type.Object({ name: Type.String(), generation: Type.Number() })),
})
type Saved = Type.Static<typeof SavedUnits>

export const createUnitsFile = (path: string, log: Logger): SavedFile<Saved> =>
  createSavedFile(path, SavedUnits, { schemaVersion: 1, storeId: '', units: [] }, 'units', log)

export interface HeldUnitsDeps {
  /** A process reads units of one kind. */
  readonly kind: UnitKind
  readonly file: SavedFile<Saved>
  /** `isHandedOver`: whoever read it before has released it, so that nothing of it is under way elsewhere. */
  readonly onAssign: (name: string, isHandedOver: boolean) => void
  /** Resolves when nothing of it runs here any more and what was done is committed. */
  readonly onRevoke: (name: string) => Promise<void>
  readonly report: (message: GatewayMessage) => void
  /** This process stops. */
  readonly signal: AbortSignal
  readonly log: Logger
}

/** For a scheduler, after a start. */
const PATIENCE_MS = 3_000

export interface HeldUnits {
  readonly held: () => readonly Unit[]
  readonly storeId: () => string
  /** Takes up what the last run held when the scheduler names it, or does not answer in time. */
  readonly begin: () => Promise<void>
  /** A stream began: what it assigns from now on is named there. */
  readonly onStream: () => void
  readonly onMessage: (message: SchedulerMessage__Output) => void
}

export function createHeldUnits(deps: HeldUnitsDeps): HeldUnits {
  const { kind, file, onAssign, onRevoke, report, log } = deps
  /** Name to generation. */
  const held = new Map<string, number>()
  const assignedNow = new Set<string>()
  /** Held by the last run, and not read yet. */
  const waiting = new Set<string>()
  let storeId = ''

  const save = (): void => {
    file.save(() => ({
      schemaVersion: 1,
      storeId,
      units: [...held].map(([name, generation]) => ({ name, generation })),
    }))
  }
  const takeUp = (name: string, isHandedOver: boolean): void => {
    waiting.delete(name)
    log.info({ unit: name, generation: held.get(name) }, 'unit assigned')
    onAssign(name, isHandedOver)
  }
  const takeUpAll = (): void => {
    for (const name of waiting) takeUp(name, false)
  }
  const assign = (name: string, generation: number, isHandedOver: boolean): void => {
    const isNew = !held.has(name) || waiting.has(name)
    held.set(name, Math.max(generation, held.get(name) ?? 0))
    assignedNow.add(name)
    save()
    if (isNew) takeUp(name, isHandedOver)
  }
  const letGo = async (name: string): Promise<void> => {
    held.delete(name)
    waiting.delete(name)
    save()
    await onRevoke(name)
    log.info({ unit: name }, 'unit released')
  }
  const revoke = async (name: string, generation: number): Promise<void> => {
    const own = held.get(name)
    if (own !== undefined && own > generation) return // it was assigned again since
    if (own !== undefined) await letGo(name)
    report({ unitReleased: { kind, name, generation, reason: '' } })
  }
  const synchronise = (named: ReadonlySet<string>, from: string): void => {
    const isOther = storeId !== '' && storeId !== from
    storeId = from
    if (!isOther) for (const name of held.keys()) if (!named.has(name) && !assignedNow.has(name)) void letGo(name)
    takeUpAll()
    save()
  }

  return {
    held: () => [...held].map(([name, generation]) => ({ kind, name, generation })),
    storeId: () => storeId,
    begin: async () => {
      const saved = await file.load()
      storeId = saved.storeId
      for (const { name, generation } of saved.units) {
        held.set(name, generation)
        waiting.add(name)
      }
      setTimeout(() => {
        if (!deps.signal.aborted) takeUpAll()
      }, PATIENCE_MS).unref()
    },
    onStream: () => {
      assignedNow.clear()
    },
    onMessage: ({ unitAssign, unitRevoke, synchronised }) => {
      if (unitAssign?.kind === kind) assign(unitAssign.name, unitAssign.generation, unitAssign.handedOver)
      if (unitRevoke?.kind === kind) void revoke(unitRevoke.name, unitRevoke.generation)
      if (synchronised) {
        const named = synchronised.heldUnits.filter((unit) => unit.kind === kind).map(({ name }) => name)
        synchronise(new Set(named), synchronised.storeId)
      }
    },
  }
}
