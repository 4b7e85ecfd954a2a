import type { CandidateIr, HeaderMatchIr, SplitIr } from '../ir/types.ts'

/** What the router filter is told apart from the splits. */
export interface RouterOptions {
  readonly shards: number
  /** Models that the metrics tell apart; the rest is counted together. */
  readonly maxModels: number
  /** Requests that announce a larger body are answered 413. */
  readonly maxRequestBytes: number
}

/** The configuration text of the router filter; its grammar is in wasm-filter/README.md. */
export function toRouterTable(options: RouterOptions, splits: readonly SplitIr[]): string {
  const lines = [
    `shards ${String(options.shards)}`,
    `max_models ${String(options.maxModels)}`,
    `max_request_bytes ${String(options.maxRequestBytes)}`,
  ]
  for (const split of splits.toSorted((a, b) => (a.target < b.target ? -1 : 1))) {
    lines.push(...toSplitLines(split))
  }
  return lines.map((line) => `${line}\n`).join('')
}

function toSplitLines({ target, seed, candidates, stickyHeader, measured, mirrors = [] }: SplitIr): string[] {
  const shares = candidates.map((candidate) => `${candidate.target} ${String(candidate.weight)}`)
  return [
    `split ${target} ${shares.join(' ')}`,
    `seed ${seed}`,
    ...(stickyHeader === undefined ? [] : [`sticky ${stickyHeader}`]),
    ...(measured === true ? ['measured'] : []),
    ...(mirrors.length === 0 ? [] : ['mirrored']),
    ...candidates.flatMap(toMatchLines),
  ]
}

const toMatchLines = ({ target, match = [] }: CandidateIr): string[] =>
  match.map((condition) => `match ${target} ${condition.header} ${toCondition(condition)}`)

function toCondition(condition: HeaderMatchIr): string {
  if ('exact' in condition) return `exact ${escape(condition.exact)}`
  return 'prefix' in condition ? `prefix ${escape(condition.prefix)}` : 'present'
}

/** Every byte but letters, digits, `-`, `_` and `.` as `%XX`, so that a value is one field. */
const escape = (value: string): string =>
  value.replaceAll(/[^A-Za-z0-9_.-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
