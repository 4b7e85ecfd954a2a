import type { IrIssue } from './issue.ts'
import type { CandidateIr, HeaderMatchIr, SplitIr, SplitMirrorIr } from './types.ts'
import { weightIssues } from './validate-weights.ts'

/** The grammar of wasm-filter/README.md. */
const TARGET = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,73}$/
const HEADER = /^[a-z0-9_-]{1,64}$/
/** Of a value that a header is compared with: what HTTP lets through, and nothing that hides at its ends. */
const VALUE = /^[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?$/
const MAX_CANDIDATES = 64
const MAX_CONDITIONS = 16
const MAX_MIRRORS = 4

export function splitIssues(split: SplitIr, path: string): IrIssue[] {
  const { target, seed, candidates, stickyHeader, mirrors = [] } = split
  const issues: IrIssue[] = []
  if (!TARGET.test(target)) issues.push({ path, message: `"${target}" cannot be a target` })
  if (!TARGET.test(seed)) issues.push({ path: `${path}.seed`, message: `"${seed}" cannot be a name` })
  if (stickyHeader !== undefined) issues.push(...headerIssues(stickyHeader, `${path}.stickyHeader`))
  issues.push(...countIssues(candidates, 1, MAX_CANDIDATES, `${path}.candidates`))
  issues.push(...weightIssues(candidates, `${path}.candidates`))
  issues.push(
    ...candidates.flatMap((candidate, index) => candidateIssues(candidate, `${path}.candidates[${String(index)}]`)),
  )
  issues.push(...countIssues(mirrors, 0, MAX_MIRRORS, `${path}.mirrors`))
  issues.push(...mirrors.flatMap((mirror, index) => mirrorIssues(mirror, `${path}.mirrors[${String(index)}]`)))
  const named = [...candidates, ...mirrors].map((one) => one.target)
  for (const name of new Set(named.filter((one, index) => named.indexOf(one) !== index)))
    issues.push({ path, message: `"${name}" is named more than once among candidates and mirrors` })
  return issues
}

function candidateIssues({ target, match = [] }: CandidateIr, path: string): IrIssue[] {
  return [
    ...(TARGET.test(target) ? [] : [{ path: `${path}.target`, message: `"${target}" cannot be a target` }]),
    ...countIssues(match, 0, MAX_CONDITIONS, `${path}.match`),
    ...match.flatMap((condition, index) => conditionIssues(condition, `${path}.match[${String(index)}]`)),
  ]
}

function conditionIssues(condition: HeaderMatchIr, path: string): IrIssue[] {
  const issues = headerIssues(condition.header, `${path}.header`)
  for (const [key, value] of Object.entries(condition))
    if ((key === 'exact' || key === 'prefix') && !VALUE.test(String(value)))
      issues.push({
        path: `${path}.${key}`,
        message: 'must be 1 to 256 printable characters, none of the ends a space',
      })
  return issues
}

function mirrorIssues({ target, percent }: SplitMirrorIr, path: string): IrIssue[] {
  return [
    ...(TARGET.test(target) ? [] : [{ path: `${path}.target`, message: `"${target}" cannot be a target` }]),
    ...(percent >= 0.0001 && percent <= 100
      ? []
      : [{ path: `${path}.percent`, message: `${String(percent)} must be 0.0001 to 100` }]),
  ]
}

const headerIssues = (header: string, path: string): IrIssue[] =>
  HEADER.test(header) ? [] : [{ path, message: `"${header}" must be the name of a header in lower case, 1 to 64 long` }]

function countIssues(list: readonly unknown[], least: number, most: number, path: string): IrIssue[] {
  if (list.length < least) return [{ path, message: 'must not be empty' }]
  return list.length > most ? [{ path, message: `${String(list.length)} are more than ${String(most)}` }] : []
}
