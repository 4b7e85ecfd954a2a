import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { EncodedRoute } from '../../../xds/cache/route-content.ts'
import { EncodedAny } from '../../../xds/proto/encode.ts'
import { afterAccepted, afterRefused, beginIsolation, trial } from '../../../xds/server/isolation.ts'
import { route } from '../../support/xds-scene.ts'

const encoded = (): EncodedRoute => ({
  ir: route('a', 's0'),
  route: new EncodedAny('', new Uint8Array()),
  endpointSetIds: [],
})

it('whatever is bad among the changes is found, all else stays, in few trials', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { maxLength: 80 }),
      fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 4 }),
      (good, bad) => {
        const accepted = new Map([
          ['old', encoded()],
          ['leaving', encoded()],
        ])
        const isBad = new Set(bad.map(String))
        const wanted = new Map([...good.map(String), ...isBad].map((target) => [target, encoded()]))
        wanted.set('old', accepted.get('old') ?? encoded())
        let isolation = afterRefused(beginIsolation(accepted, wanted)).next
        const culprits = wanted.size === 2 ? [...isBad] : []
        let trials = 0
        for (; isolation.groups.length > 0; trials++) {
          if ([...trial(isolation).keys()].some((target) => isBad.has(target))) {
            const { next, culprit } = afterRefused(isolation)
            if (culprit !== undefined) culprits.push(culprit)
            isolation = next
          } else isolation = afterAccepted(isolation)
        }
        expect(culprits.toSorted()).toEqual([...isBad].toSorted())
        expect([...isolation.base.keys()].toSorted()).toEqual(
          [...wanted.keys()].filter((t) => !isBad.has(t)).toSorted(),
        )
        expect(trials).toBeLessThanOrEqual(isBad.size * 2 * Math.ceil(Math.log2(wanted.size) + 1))
      },
    ),
    { numRuns: 200 },
  )
})
