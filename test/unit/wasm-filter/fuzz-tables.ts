/**
 * Mutated tables against the router. Whatever comes, it does not trap, it takes exactly what the grammar of wasm-filter/README.md
 * allows (judged here by other means), and what it took sends requests to what the table names and nowhere else.
 */
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost } from '../../../wasm-filter/host/proxy-host.ts'
import { routedBy, runStream } from '../../../wasm-filter/host/stream.ts'
import { Random } from './random.ts'

const TARGET = '[A-Za-z0-9][A-Za-z0-9_.-]{0,73}'
const HEADER = '[a-z0-9_-]{1,64}'
const LINES = {
  shards: /^shards 0*(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-6])$/,
  split: new RegExp(`^split (${TARGET})((?: ${TARGET} \\d{1,15})+)$`),
  seed: new RegExp(`^seed ${TARGET}$`),
  sticky: new RegExp(`^sticky ${HEADER}$`),
  measured: /^measured$/,
  mirrored: /^mirrored$/,
  present: new RegExp(`^match (${TARGET}) ${HEADER} present$`),
  value: new RegExp(`^match (${TARGET}) ${HEADER} (?:exact|prefix) ((?:%[0-9A-Fa-f]{2}|[^% ])+)$`),
}
const MAX_WEIGHT = 1_000_000

interface Model {
  /** For each target, its candidates. */
  readonly splits: Map<string, ReadonlySet<string>>
}

/** What a table says; undefined when it breaks the grammar. */
function judge(table: string): Model | undefined {
  const splits = new Map<string, ReadonlySet<string>>()
  let current: ReadonlySet<string> | undefined
  let said = new Set<string>()
  const once = (what: string): boolean => current !== undefined && said.size !== said.add(what).size
  for (const line of table.split('\n')) {
    const split = LINES.split.exec(line)
    if (split !== null) {
      const [, target = '', list = ''] = split
      const words = list.trim().split(' ')
      const weights = words.filter((_, index) => index % 2 === 1).map(Number)
      const sum = weights.reduce((total, weight) => total + weight, 0)
      if (splits.has(target) || sum < 1 || weights.some((weight) => weight > MAX_WEIGHT)) return undefined
      const names = words.filter((_, index) => index % 2 === 0)
      current = new Set(names)
      said = new Set()
      splits.set(target, current)
      continue
    }
    const [, matched] = LINES.present.exec(line) ?? LINES.value.exec(line) ?? []
    const isFine =
      line === '' ||
      LINES.shards.test(line) ||
      (LINES.seed.test(line) && once('seed')) ||
      (LINES.sticky.test(line) && once('sticky')) ||
      (LINES.measured.test(line) && once('measured')) ||
      (LINES.mirrored.test(line) && once('mirrored')) ||
      (matched !== undefined && current?.has(matched) === true && fits(LINES.value.exec(line)?.[2]))
    if (!isFine) return undefined
  }
  return { splits }
}

/** A value is at most 256 bytes, decoded. */
function fits(value: string | undefined): boolean {
  return value === undefined || value.replaceAll(/%../g, 'x').length <= 256
}

const WORDS = ['shards', 'split', 'seed', 'sticky', 'measured', 'match', 'mirrored', 'present', 'exact', 'prefix', 'a', 'b', 'c.experiment', 'x-user', '1', '0', '1000000', '1000001', '%41', '%4', ' ', '\n', '-', 'A', 'z'.repeat(75)] // prettier-ignore
const GOOD = [
  'shards 256',
  'split a a 1 b 2',
  'split c.experiment a 0 b 1000000 p.pipeline 1',
  'seed exp',
  'sticky x-user',
  'measured',
  'match a x-beta present',
  'match b x-team exact a%20b',
  'match b x-team prefix %22',
  'mirrored',
  '',
]

function mutatedTable(random: Random): string {
  const lines = Array.from({ length: random.below(8) }, () => random.pick(GOOD))
  let table = `${random.chance(80) ? 'split a a 1 b 2\n' : ''}${lines.join('\n')}${random.chance(80) ? '\n' : ''}`
  while (random.chance(35)) {
    const at = random.below(table.length + 1)
    const inserted = random.chance(80) ? random.pick(WORDS) : String.fromCharCode(random.below(128))
    table = table.slice(0, at) + (random.chance(70) ? inserted : '') + table.slice(at + random.below(3))
  }
  return table
}

export interface TableFuzzReport {
  readonly accepted: number
  readonly refused: number
}

/** `a.model` is asked for as `a`, and a split may name what is too long to be asked for. */
const ASKABLE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}(?:\.experiment|\.pipeline)?$/
const MEMORY_MAX_BYTES = 16 * 1024 * 1024

/** Runs the cases; throws at the first that breaks a rule, naming the seed and case that repeat it. */
export function fuzzTables({ cases, seed }: { readonly cases: number; readonly seed: number }): TableFuzzReport {
  const host = new ProxyHost(compileFilter('router'))
  let accepted = 0
  for (let number = 0; number < cases; number++) {
    const random = new Random(seed + number * 7919)
    const table = mutatedTable(random)
    const where = `case ${String(number)} of seed ${String(seed)}: ${JSON.stringify(table)}`
    const model = judge(table)
    if (host.configure(table, number) !== (model !== undefined))
      throw new Error(`${where}: should have been ${model === undefined ? 'refused' : 'accepted'}`)
    if (host.memoryBytes > MEMORY_MAX_BYTES) throw new Error(`${where}: memory has grown`)
    if (model === undefined) continue
    accepted++
    for (const [target, candidates] of model.splits) {
      if (!ASKABLE.test(target)) continue
      const to = targetOf(host, target)
      if (!candidates.has(to ?? '')) throw new Error(`${where}: ${target} went to ${String(to)}`)
    }
  }
  return { accepted, refused: cases - accepted }
}

function targetOf(host: ProxyHost, name: string): string | undefined {
  const headers = [
    [':method', 'POST'],
    [':path', '/v2/models/x/infer'],
    ['seldon-model', name],
    ['x-user', 'u'],
    ['x-team', 'a b'],
  ] as const
  const result = runStream(host, { headers })
  return routedBy(result.headers)?.target
}
