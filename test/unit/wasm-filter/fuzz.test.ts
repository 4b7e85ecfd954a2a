import { expect, it } from 'vitest'
import { fuzzFilters } from './fuzz.ts'

const CASES = 10_000

it('10,000 mutated requests trap no filter, and nothing passes the router that is not on the list', () => {
  const { admitted, refused } = fuzzFilters({ cases: CASES, seed: 1 })
  expect(admitted).toBeGreaterThan(CASES / 20)
  expect(refused).toBeGreaterThan(CASES / 20)
}, 60_000)
