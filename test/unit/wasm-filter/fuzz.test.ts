import { expect, it } from 'vitest'
import { fuzzFilters } from './fuzz.ts'
import { fuzzTables } from './fuzz-tables.ts'

const CASES = 10_000

it('10,000 mutated requests trap no filter, and nothing passes the router that is not on the list', () => {
  const { admitted, refused } = fuzzFilters({ cases: CASES, seed: 1 })
  expect(admitted).toBeGreaterThan(CASES / 20)
  expect(refused).toBeGreaterThan(CASES / 20)
}, 60_000)

it('10,000 mutated tables are taken or refused as the grammar says, and send requests nowhere else', () => {
  const { accepted, refused } = fuzzTables({ cases: CASES, seed: 1 })
  expect(accepted).toBeGreaterThan(CASES / 20)
  expect(refused).toBeGreaterThan(CASES / 20)
}, 60_000)
