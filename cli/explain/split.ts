/** What the router's table says of a split, and which part of it decides for a request. Pure; the grammar is in wasm-filter/README.md. */
import type { Header } from '../../wasm-filter/host/proxy-host.ts'

interface Condition {
  readonly header: string
  readonly kind: string
  readonly value: string
}

interface SplitCandidate {
  readonly target: string
  readonly weight: number
  readonly conditions: readonly Condition[]
}

export interface Split {
  /** The experiment's name. */
  readonly seed: string
  readonly stickyHeader: string | undefined
  readonly isMirrored: boolean
  readonly candidates: readonly SplitCandidate[]
}

const ABOUT_SPLITS = /^(?:split|seed|sticky|measured|mirrored|match)(?: |$)/

export const withoutSplits = (table: string): string =>
  table
    .split('\n')
    .filter((line) => !ABOUT_SPLITS.test(line))
    .join('\n')

/** The split of a target: its line, and the lines up to the next one. */
export function splitOf(table: string, target: string): Split | undefined {
  const lines = table.split('\n')
  const first = lines.findIndex((line) => line.startsWith(`split ${target} `))
  if (first < 0) return undefined
  const rest = lines.slice(first + 1)
  const next = rest.findIndex((line) => line.startsWith('split '))
  const said = rest.slice(0, next < 0 ? undefined : next).map((line) => line.split(' '))
  const valueOf = (keyword: string): string | undefined => said.find(([word]) => word === keyword)?.[1]
  const conditions = said.filter(([word]) => word === 'match')
  const words = (lines[first] ?? '').split(' ').slice(2)
  return {
    seed: valueOf('seed') ?? target,
    stickyHeader: valueOf('sticky'),
    isMirrored: said.some(([word]) => word === 'mirrored'),
    candidates: words.flatMap((word, index) =>
      index % 2 === 1
        ? []
        : [
            {
              target: word,
              weight: Number(words[index + 1]),
              conditions: conditions
                .filter(([, candidate]) => candidate === word)
                .map(([, , header = '', kind = '', value = '']) => ({ header, kind, value: unescape(value) })),
            },
          ],
    ),
  }
}

/** Bytes, as latin-1: that is how the headers of a request stand here. */
const unescape = (value: string): string =>
  value.replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** For people: why these headers lead to one candidate; undefined when nothing but weight and chance decides. */
export function reasonOf(split: Split, headers: readonly Header[]): string | undefined {
  const matching = split.candidates.find(
    ({ conditions }) => conditions.length > 0 && conditions.every((condition) => holds(condition, headers)),
  )
  if (matching !== undefined) return `its conditions hold: ${matching.conditions.map(describe).join(' and ')}`
  const token = tokensOf(headers).find((one) => split.candidates.some((candidate) => isNamedBy(candidate, one)))
  if (token !== undefined) return `the token :${token}: of x-seldon-route names it`
  const user = headers.find(([name, value]) => name === split.stickyHeader && value !== '')
  return user && `${user[0]}: ${user[1]} is sticky: its hash always leads there while the weights stay`
}

function holds({ header, kind, value }: Condition, headers: readonly Header[]): boolean {
  return headers.some(([name, given]) => {
    if (name !== header) return false
    if (kind === 'exact') return given === value
    return kind === 'present' || given.startsWith(value)
  })
}

function describe({ header, kind, value }: Condition): string {
  if (kind === 'present') return `${header} is there`
  return kind === 'exact' ? `${header} is "${value}"` : `${header} begins with "${value}"`
}

const TOKENS_MAX = 64

const tokensOf = (headers: readonly Header[]): readonly string[] =>
  headers.flatMap(([name, value]) => (name === 'x-seldon-route' ? value.split(':') : [])).slice(0, TOKENS_MAX)

const isNamedBy = ({ target, weight }: SplitCandidate, token: string): boolean =>
  weight > 0 && (token === target || token.replace(/_\d+$/, '') === target)
