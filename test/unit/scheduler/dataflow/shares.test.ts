import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chooseMember } from '../../../../scheduler/dataflow/rendezvous.ts'
import {
  AWAY_GRACE_MS,
  createShares,
  type HeldUnit,
  RELEASE_DEADLINE_MS,
  type Shares,
  type Tell,
} from '../../../../scheduler/dataflow/shares.ts'

const names = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${String(index)}`)
const UNITS = names('unit', 1_000)

describe('the choice of a member', () => {
  it('moves only the share of the one that comes or goes, in whatever order they are named', () => {
    const members = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 6 })
    fc.assert(
      fc.property(members, fc.uniqueArray(fc.string(), { maxLength: 30 }), (all, units) => {
        const [gone, ...rest] = all
        for (const unit of units) {
          const before = chooseMember(unit, all)
          expect(chooseMember(unit, all.toReversed())).toBe(before)
          if (before !== gone) expect(chooseMember(unit, rest)).toBe(before)
        }
      }),
    )
  })

  it('gives each about the same', () => {
    const counts = new Map<string | undefined, number>()
    for (const unit of UNITS) {
      const member = chooseMember(unit, names('engine', 4))
      counts.set(member, (counts.get(member) ?? 0) + 1)
    }
    for (const count of counts.values()) expect(Math.abs(count - 250)).toBeLessThan(60)
    expect(chooseMember('unit', [])).toBeUndefined()
  })
})

const ownersOf = (shares: Shares) => new Map(UNITS.map((unit) => [unit, shares.owner(unit)]))
function withUnits(...members: readonly string[]): Shares {
  const shares = createShares()
  for (const member of members) shares.join(member, [])
  for (const unit of UNITS) shares.want(unit, true)
  shares.settle(1_000, true)
  return shares
}
const heldBy = (shares: Shares, member: string): readonly HeldUnit[] =>
  [...shares.unitsOf(member)].map((name) => ({ name, generation: shares.shareOf(member, name)?.generation ?? 0 }))
const releaseAll = (shares: Shares, tells: readonly Tell[], nowMs: number): void => {
  for (const { member, unit } of tells) {
    const share = shares.shareOf(member, unit)
    if (share?.kind === 'releases') shares.released(member, unit, share.generation, nowMs)
  }
}

describe('shares', () => {
  it('are handed over one by one: revoked, released, then assigned with a higher generation', () => {
    const shares = withUnits('a')
    shares.join('b', [])
    const revoked = shares.settle(2_000, true)
    expect(new Set(revoked.map(({ member }) => member))).toEqual(new Set(['a']))
    expect(revoked.length).toBeGreaterThan(400)
    expect([...shares.unitsOf('b')]).toEqual([]) // nobody begins before the other has ended
    const [first] = revoked
    const before = shares.shareOf('a', first?.unit ?? '')
    expect(before).toMatchObject({ kind: 'releases', gone: false })
    releaseAll(shares, revoked, 3_000)
    shares.settle(3_000, true)
    expect(shares.unitsOf('b').size).toBe(revoked.length)
    expect(shares.shareOf('b', first?.unit ?? '')?.generation).toBeGreaterThan(before?.generation ?? Infinity)
    expect(shares.counts()).toEqual({ units: 1_000, unread: 0, moving: 0 })
  })

  it('tell whether whoever read a unit before has released it: not when it is gone, late, or may be another run', () => {
    const isHandedOver = (shares: Shares, member: string) =>
      new Set([...shares.unitsOf(member)].map((unit) => shares.shareOf(member, unit)?.handedOver))
    const shares = withUnits('a')
    expect(isHandedOver(shares, 'a')).toEqual(new Set([false]))
    shares.join('b', [])
    releaseAll(shares, shares.settle(2_000, true), 2_000)
    shares.settle(2_000, true)
    expect(isHandedOver(shares, 'b')).toEqual(new Set([true]))
    shares.join('b', []) // killed, started again, and it knows nothing
    expect(isHandedOver(shares, 'b')).toEqual(new Set([false]))
    shares.join('c', [])
    shares.settle(3_000, true)
    shares.settle(3_000 + RELEASE_DEADLINE_MS, true)
    expect(isHandedOver(shares, 'c')).toEqual(new Set([false]))
    shares.away('b', 50_000)
    shares.settle(50_000 + AWAY_GRACE_MS, true)
    expect([...isHandedOver(shares, 'a')]).toContain(false)
  })

  it('do not wait for an owner that is gone, nor for one that lets the deadline pass', () => {
    const shares = withUnits('a', 'b')
    shares.away('a', 2_000)
    expect(shares.settle(2_000 + AWAY_GRACE_MS - 1, true)).toEqual([]) // it may come back
    shares.settle(2_000 + AWAY_GRACE_MS, true)
    expect(shares.unitsOf('b').size).toBe(1_000)
    shares.join('c', [])
    const revoked = shares.settle(10_000, true)
    shares.settle(10_000 + RELEASE_DEADLINE_MS, true)
    expect(shares.unitsOf('c').size).toBe(revoked.length)
    const [late] = revoked
    expect(shares.released('b', late?.unit ?? '', 1, 60_000)).toBe(false) // what it says now counts no more
  })

  it('of a member that comes back in time stay as they are', () => {
    const shares = withUnits('a', 'b')
    const before = ownersOf(shares)
    const held = heldBy(shares, 'a')
    shares.away('a', 2_000)
    shares.settle(3_000, true)
    shares.join('a', held)
    shares.settle(2_000 + 2 * AWAY_GRACE_MS, true)
    expect(ownersOf(shares)).toEqual(before)
  })

  it('are the same after a restart of the scheduler, in whatever order members come', () => {
    const first = withUnits('a', 'b', 'c')
    const shares = createShares()
    for (const unit of UNITS) shares.want(unit, true)
    const told: Tell[] = []
    for (const member of ['c', 'a', 'b']) {
      shares.join(member, heldBy(first, member))
      told.push(...shares.settle(5_000, false))
    }
    told.push(...shares.settle(9_000, true))
    expect(ownersOf(shares)).toEqual(ownersOf(first))
    for (const { member, unit } of told) expect(shares.shareOf(member, unit)).toEqual(first.shareOf(member, unit)) // the same generation: nothing moved
  })

  it('of one that drains go to the others; a unit that nobody wants any more goes, told as gone', () => {
    const shares = withUnits('a', 'b')
    shares.drain('a')
    releaseAll(shares, shares.settle(2_000, true), 2_000)
    shares.settle(2_000, true)
    expect([shares.unitsOf('a').size, shares.unitsOf('b').size]).toEqual([0, 1_000])
    shares.want('unit-7', false)
    expect(shares.settle(3_000, true)).toEqual([{ member: 'b', unit: 'unit-7' }])
    expect(shares.shareOf('b', 'unit-7')).toMatchObject({ kind: 'releases', gone: true })
    shares.released('b', 'unit-7', Infinity, 3_000)
    shares.settle(3_000, true)
    expect(shares.counts().units).toBe(999)
  })

  it('that a member gave up by itself are assigned again after a pause', () => {
    const shares = withUnits('a')
    shares.released('a', 'unit-1', Infinity, 2_000)
    expect(shares.settle(2_000, true)).toEqual([{ member: 'a', unit: 'unit-1' }])
    expect(shares.owner('unit-1')).toBeUndefined()
    shares.settle(20_000, true)
    expect(shares.owner('unit-1')).toBe('a')
  })

  it('keep what another store gave, until a unit of that name is wanted here', () => {
    const shares = createShares()
    shares.join('a', [{ name: 'old', generation: 7 }])
    shares.join('b', [])
    expect(shares.claimed('a')).toEqual([{ name: 'old', generation: 7 }])
    shares.want('old', true)
    expect([shares.owner('old'), shares.claimed('a')]).toEqual(['a', []])
  })
})

const operation = fc.oneof(
  fc.record({ kind: fc.constant('join'), member: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ kind: fc.constant('away'), member: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ kind: fc.constant('drain'), member: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ kind: fc.constantFrom('want', 'unwant', 'release'), unit: fc.constantFrom('x', 'y', 'z') }),
  fc.record({ kind: fc.constant('time'), ms: fc.constantFrom(10, AWAY_GRACE_MS, RELEASE_DEADLINE_MS) }),
)

it('whatever comes in which order: no unit has two owners, and all are read once everybody has answered', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const shares = createShares()
      const here = new Set<string>()
      const wanted = new Set<string>()
      let nowMs = 1_000
      const release = (unit: string): void => {
        const owner = shares.owner(unit)
        if (owner !== undefined && here.has(owner)) shares.released(owner, unit, Infinity, nowMs)
      }
      for (const one of operations) {
        if (one.kind === 'time') nowMs += one.ms
        else if ('unit' in one) {
          if (one.kind === 'release') release(one.unit)
          else shares.want(one.unit, one.kind === 'want')
          if (one.kind === 'want') wanted.add(one.unit)
          if (one.kind === 'unwant') wanted.delete(one.unit)
        } else {
          if (one.kind === 'join') shares.join(one.member, heldBy(shares, one.member))
          else if (one.kind === 'away') shares.away(one.member, nowMs)
          else shares.drain(one.member)
          if (one.kind === 'join') here.add(one.member)
          else here.delete(one.member)
        }
        shares.settle(nowMs, true)
        const owned = ['a', 'b', 'c'].flatMap((member) => [...shares.unitsOf(member)])
        expect(owned).toHaveLength(new Set(owned).size)
        for (const unit of owned) expect(shares.owner(unit)).toBeDefined()
      }
      for (let turn = 0; turn < 3; turn += 1) {
        nowMs += 2 * RELEASE_DEADLINE_MS
        shares.settle(nowMs, true)
      }
      const { units, unread, moving } = shares.counts()
      expect({ units, moving }).toEqual({ units: wanted.size, moving: 0 })
      expect(unread).toBe(here.size === 0 ? wanted.size : 0)
      for (const unit of wanted) if (here.size > 0) expect(shares.owner(unit)).toBe(chooseMember(unit, here))
    }),
  )
})
