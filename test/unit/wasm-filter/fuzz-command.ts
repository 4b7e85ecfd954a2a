/** `npm run fuzz -- --cases N --seed S`: the property test of the filters, as long as one likes. */
import { parseArgs } from 'node:util'
import { fuzzFilters } from './fuzz.ts'
import { fuzzTables } from './fuzz-tables.ts'

const { values } = parseArgs({
  options: { cases: { type: 'string', default: '100000' }, seed: { type: 'string', default: String(Date.now()) } },
})
const cases = Number(values.cases)
const seed = Number(values.seed)
if (!Number.isSafeInteger(cases) || cases < 1 || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run fuzz -- [--cases N] [--seed S], both whole numbers')
  process.exit(2)
}
const { admitted, refused } = fuzzFilters({ cases, seed })
console.log(
  `${String(cases)} cases of seed ${String(seed)}: ${String(admitted)} let through, ${String(refused)} refused, no trap`,
)
const tables = fuzzTables({ cases, seed })
console.log(
  `${String(cases)} tables of seed ${String(seed)}: ${String(tables.accepted)} accepted, ${String(tables.refused)} refused, no trap`,
)
