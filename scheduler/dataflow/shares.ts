/**
 * How the units of one role (pipelines for engines, models for model gateways) are shared over the members that live: who
 * reads which, and the hand-overs in between. No I/O: the time is an argument, and `settle` says who is to be told something.
 *
 * A unit has one owner at a time: it is assigned again only when the owner released it, is gone, or let the deadline pass. A
 * change costs the units that it touches; a member that comes or goes costs one look at every unit.
 */
import { chooseMember } from './rendezvous.ts'

/** A member whose stream broke keeps its units for so long: it comes back, or it is gone. */
export const AWAY_GRACE_MS = 3_000
/** An owner that does not release what was revoked is not waited for any longer: what runs there may be done twice. */
export const RELEASE_DEADLINE_MS = 30_000
/** After a member gave up a unit by itself. */
const GIVEN_UP_PAUSE_MS = 5_000

export interface HeldUnit {
  readonly name: string
  readonly generation: number
}

/** What a member shall do with a unit. */
export interface Share {
  readonly kind: 'reads' | 'releases'
  readonly generation: number
  /** Nobody reads it next. */
  readonly gone: boolean
  /** Whoever read it before has released it. */
  readonly handedOver: boolean
}

/** Somebody is to be told how it stands with a unit. */
export interface Tell {
  readonly member: string
  readonly unit: string
}

export interface Shares {
  /** It is here, and reads this: what nobody else is known to read stays with it. */
  readonly join: (member: string, held: readonly HeldUnit[]) => void
  /** Its stream is gone. */
  readonly away: (member: string, nowMs: number) => void
  /** It is about to stop: it takes nothing more, and what it has is handed over. */
  readonly drain: (member: string) => void
  /** Whether somebody shall read the unit. */
  readonly want: (unit: string, isWanted: boolean) => void
  /** False: it does not own that unit (any more). */
  readonly released: (member: string, unit: string, generation: number, nowMs: number) => boolean
  /** Takes the next steps. Until `mayMove` nothing is assigned or revoked: after a start members need time to come back. */
  readonly settle: (nowMs: number, mayMove: boolean) => readonly Tell[]
  readonly shareOf: (member: string, unit: string) => Share | undefined
  readonly unitsOf: (member: string) => ReadonlySet<string>
  readonly owner: (unit: string) => string | undefined
  /** Of another store, and kept there: held by this member, and wanted by nobody that we know. */
  readonly claimed: (member: string) => readonly HeldUnit[]
  readonly counts: () => ShareCounts
}

export interface ShareCounts {
  readonly units: number
  /** Of these, those that nobody reads. */
  readonly unread: number
  /** Of these, those that are being handed over. */
  readonly moving: number
}

interface Unit {
  wanted: boolean
  hold: Hold
}
type Hold =
  | { readonly kind: 'free'; readonly notBeforeMs: number; readonly isReleased: boolean }
  | ({ readonly kind: 'held' } & Owned)
  | ({ readonly kind: 'leaving'; readonly deadlineMs: number } & Owned)
interface Owned {
  readonly owner: string
  readonly generation: number
  readonly handedOver: boolean
}
/** Who read it last may still run something of it, for all that is known. */
const FREE: Hold = { kind: 'free', notBeforeMs: 0, isReleased: false }

interface Member {
  awaySinceMs: number | undefined
  draining: boolean
  readonly units: Set<string>
  claims: readonly HeldUnit[]
}

export function createShares(): Shares {
  const members = new Map<string, Member>()
  const units = new Map<string, Unit>()
  /** What may have a next step; those that wait for a time are in `timed`. */
  const dirty = new Set<string>()
  const timed = new Set<string>()
  let tells: Tell[] = []
  let generations = 0

  const markAll = (): void => {
    for (const name of units.keys()) dirty.add(name)
  }

  function put(name: string, unit: Unit, hold: Hold): void {
    const { hold: before } = unit
    if (before.kind !== 'free') {
      members.get(before.owner)?.units.delete(name)
      tells.push({ member: before.owner, unit: name })
    }
    unit.hold = hold
    timed.delete(name)
    if (hold.kind === 'leaving' || (hold.kind === 'free' && hold.notBeforeMs > 0)) timed.add(name)
    if (hold.kind === 'free') return
    members.get(hold.owner)?.units.add(name)
    if (before.kind === 'free' || before.owner !== hold.owner) tells.push({ member: hold.owner, unit: name })
  }

  function forget(name: string): void {
    const member = members.get(name)
    members.delete(name)
    for (const unitName of member?.units ?? []) {
      const unit = units.get(unitName)
      if (unit !== undefined) put(unitName, unit, FREE)
    }
    markAll()
  }

  function step(name: string, nowMs: number, eligible: readonly string[]): void {
    const unit = units.get(name)
    if (unit === undefined) return
    const { hold } = unit
    const target = unit.wanted ? chooseMember(name, eligible) : undefined
    if (hold.kind === 'leaving' && nowMs >= hold.deadlineMs) {
      put(name, unit, FREE)
      step(name, nowMs, eligible)
    } else if (hold.kind === 'held' && hold.owner !== target) {
      put(name, unit, { ...hold, kind: 'leaving', deadlineMs: nowMs + RELEASE_DEADLINE_MS })
    } else if (hold.kind === 'free' && !unit.wanted) {
      units.delete(name)
      timed.delete(name)
    } else if (hold.kind === 'free' && target !== undefined && nowMs >= hold.notBeforeMs) {
      generations = Math.max(generations + 1, Math.floor(nowMs / 1_000)) // above those of an earlier scheduler
      put(name, unit, { kind: 'held', owner: target, generation: generations, handedOver: hold.isReleased })
    }
  }

  /** Those that are here, and those that may come back in a moment: their share stays theirs. */
  const eligibleMembers = (): readonly string[] =>
    [...members].filter(([, { draining }]) => !draining).map(([name]) => name)

  function expire(nowMs: number): void {
    for (const [name, { awaySinceMs }] of members)
      if (awaySinceMs !== undefined && nowMs - awaySinceMs >= AWAY_GRACE_MS) forget(name)
  }

  return {
    join: (name, held) => {
      const before = members.get(name)
      const member: Member = {
        awaySinceMs: undefined,
        draining: false,
        units: before?.units ?? new Set(),
        claims: held,
      }
      members.set(name, member)
      if (before === undefined || before.draining) markAll()
      for (const unitName of member.units) {
        const unit = units.get(unitName)
        // It may be another run of the same name.
        if (unit !== undefined && unit.hold.kind !== 'free') unit.hold = { ...unit.hold, handedOver: false }
      }
      for (const { name: unitName, generation } of held) {
        generations = Math.max(generations, generation)
        const unit = units.get(unitName)
        if (unit?.hold.kind === 'free')
          put(unitName, unit, { kind: 'held', owner: name, generation, handedOver: false })
        dirty.add(unitName)
      }
      member.claims = held.filter((one) => !units.has(one.name))
    },
    away: (name, nowMs) => {
      const member = members.get(name)
      if (member?.draining === true) forget(name)
      else if (member !== undefined) member.awaySinceMs = nowMs
    },
    drain: (name) => {
      const member = members.get(name)
      if (member === undefined || member.draining) return
      member.draining = true
      markAll()
    },
    want: (name, isWanted) => {
      const unit = units.get(name)
      if (unit?.wanted === isWanted || (unit === undefined && !isWanted)) return
      dirty.add(name)
      if (unit !== undefined) {
        unit.wanted = isWanted
        return
      }
      const made: Unit = { wanted: true, hold: FREE }
      units.set(name, made)
      for (const [owner, member] of members) {
        const claim = member.claims.find((one) => one.name === name)
        if (claim === undefined) continue
        member.claims = member.claims.filter((one) => one !== claim)
        if (made.hold.kind === 'free')
          put(name, made, { kind: 'held', owner, generation: claim.generation, handedOver: false })
      }
    },
    released: (name, unitName, generation, nowMs) => {
      const unit = units.get(unitName)
      if (unit === undefined || unit.hold.kind === 'free') return false
      const { kind, owner, generation: current } = unit.hold
      if (owner !== name || generation < current) return false
      const notBeforeMs = kind === 'leaving' ? 0 : nowMs + GIVEN_UP_PAUSE_MS
      put(unitName, unit, { kind: 'free', notBeforeMs, isReleased: true })
      dirty.add(unitName)
      return true
    },
    settle: (nowMs, mayMove) => {
      expire(nowMs)
      if (mayMove) {
        const eligible = eligibleMembers()
        for (const name of [...dirty, ...timed]) step(name, nowMs, eligible)
        dirty.clear()
      }
      const told = tells
      tells = []
      return told
    },
    shareOf: (member, name) => {
      const unit = units.get(name)
      if (unit === undefined || unit.hold.kind === 'free' || unit.hold.owner !== member) return undefined
      const { kind, generation, handedOver } = unit.hold
      return { kind: kind === 'held' ? 'reads' : 'releases', generation, gone: !unit.wanted, handedOver }
    },
    unitsOf: (name) => members.get(name)?.units ?? new Set(),
    owner: (name) => {
      const hold = units.get(name)?.hold
      return hold === undefined || hold.kind === 'free' ? undefined : hold.owner
    },
    claimed: (name) => members.get(name)?.claims ?? [],
    counts: () => ({
      units: units.size,
      unread: [...units.values()].filter(({ hold }) => hold.kind === 'free').length,
      moving: [...units.values()].filter(({ hold }) => hold.kind === 'leaving').length,
    }),
  }
}
