import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCache } from '../../../xds/cache/cache.ts'
import { ackedRevision, oweTouched } from '../../../xds/server/session.ts'
import { clusterName, PROTOCOLS } from '../../../xds/translate/names.ts'
import { createModelNode } from '../../support/model-node.ts'
import { change, endpointSet, listenerOptions, route } from '../../support/xds-scene.ts'

const TARGETS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
const SETS = ['s0', 's1', 's2', 's3']
/** A version whose number has this remainder is refused by the node. */
const BAD_REMAINDER = 9

/** What happens next: targets move to sets (or go), endpoints change, or the node takes in some responses. */
const action = fc.oneof(
  fc.record({
    kind: fc.constant('change' as const),
    moves: fc.array(fc.tuple(fc.constantFrom(...TARGETS), fc.option(fc.constantFrom(...SETS))), { maxLength: 5 }),
    touched: fc.option(fc.constantFrom(...SETS)),
    kindOfTouch: fc.constantFrom('endpoints' as const, 'cluster' as const),
  }),
  fc.record({ kind: fc.constant('reconnect' as const) }),
  fc.record({ kind: fc.constant('steps' as const), count: fc.integer({ min: 0, max: 6 }) }),
)

type Action = typeof action extends fc.Arbitrary<infer A> ? A : never

/** Plays the actions against one node, then lets it catch up. */
function play(actions: readonly Action[], { mayRefuse = false, mayReconnect = false }) {
  const cache = createCache(listenerOptions({ router: { shards: 3, maxModels: 10, maxRequestBytes: 1_000 } }))
  const isBad = (target: string, bytes: Uint8Array) =>
    mayRefuse && new RegExp(`${target}_\\d*${String(BAD_REMAINDER)}:`).test(Buffer.from(bytes).toString('latin1'))
  cache.load(change(1))
  const node = createModelNode(cache, isBad)
  const wanted = new Map<string, { set: string; version: number }>()
  const sets = new Map<string, ReturnType<typeof endpointSet>>()
  let revision = 1
  for (const next of actions) {
    if (next.kind === 'reconnect') {
      if (mayReconnect) node.reconnect()
      continue
    }
    if (next.kind === 'steps') {
      for (let i = 0; i < next.count; i++) node.step()
      continue
    }
    revision += 1
    const moves = new Map(next.moves)
    const had = new Set(sets.keys())
    for (const [target, set] of moves) {
      if (set === null) wanted.delete(target)
      else wanted.set(target, { set, version: revision })
    }
    const used = new Set([...wanted.values()].map(({ set }) => set))
    const fresh = [...used].filter((id) => !had.has(id)).map((id) => endpointSet(id))
    const old = next.touched === null ? undefined : sets.get(next.touched)
    const touched = old !== undefined && used.has(old.id) ? [touch(old, next.kindOfTouch, revision)] : []
    const removed = [...had].filter((id) => !used.has(id))
    for (const set of [...fresh, ...touched]) sets.set(set.id, set)
    for (const id of removed) sets.delete(id)
    const update = change(revision, {
      upsertRoutes: [...moves.keys()].flatMap((target) => {
        const to = wanted.get(target)
        return to === undefined ? [] : [route(target, to.set, to.version)]
      }),
      removeTargets: [...moves.keys()].filter((target) => !wanted.has(target)),
      upsertEndpointSets: [...fresh, ...touched],
      removeEndpointSetIds: removed,
    })
    oweTouched(node.session(), cache, cache.update(update), revision)
    node.pump()
  }
  for (let steps = 0; node.step(); steps++) if (steps > 10_000) throw new Error('the node never catches up')
  return { node, cache, wanted, sets, revision }
}

function touch(set: ReturnType<typeof endpointSet>, kind: 'endpoints' | 'cluster', revision: number) {
  if (kind === 'cluster') return { ...set, nameSource: set.nameSource === 'header' ? 'message' : 'header' } as const
  return { ...set, endpoints: set.endpoints.map((endpoint) => ({ ...endpoint, restPort: 1_000 + revision })) }
}

describe('whatever changes, and whenever the node answers', () => {
  it('I1 holds in each response, and the node ends with exactly what stands', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const { node, cache, wanted, sets, revision } = play(actions, { mayReconnect: true })
        const expected = new Map([...wanted].map(([target, { set }]) => [target, [set]]))
        expect(node.routes()).toEqual(expected)
        const clusters = [...sets.keys()].flatMap((id) => PROTOCOLS.map((protocol) => clusterName(id, protocol)))
        expect(node.clusters().toSorted()).toEqual(clusters.toSorted())
        expect(ackedRevision(node.session(), cache)).toBe(revision)
      }),
      { numRuns: 300 },
    )
  })

  it('a node that refuses some routes has all the others, and reaches the last revision', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const { node, cache, wanted, revision } = play(actions, { mayRefuse: true })
        const good = [...wanted].filter(([, { version }]) => version % 10 !== BAD_REMAINDER)
        for (const [target, { set }] of good) expect(node.routes().get(target)).toEqual([set])
        for (const target of node.routes().keys()) expect(wanted.has(target)).toBe(true)
        expect(ackedRevision(node.session(), cache)).toBe(revision)
      }),
      { numRuns: 300 },
    )
  })
})
