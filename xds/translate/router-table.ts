import type { SplitIr } from '../ir/types.ts'

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
    const candidates = split.candidates.map(({ target, weight }) => `${target} ${String(weight)}`)
    lines.push(`split ${split.target} ${candidates.join(' ')}`)
  }
  return lines.map((line) => `${line}\n`).join('')
}
