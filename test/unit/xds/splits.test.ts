import { describe, expect, it } from 'vitest'
import type { CandidateIr, SplitIr } from '../../../xds/index.ts'
import { validateChange } from '../../../xds/ir/validate.ts'
import { toRouterTable } from '../../../xds/translate/router-table.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost } from '../../../wasm-filter/host/proxy-host.ts'

const OPTIONS = { shards: 256, maxModels: 2_000, maxRequestBytes: 1_000 }
const AB: SplitIr = {
  target: 'iris',
  seed: 'ab',
  candidates: [
    { target: 'iris', weight: 90 },
    { target: 'iris-b', weight: 10 },
  ],
}

const issuesOf = (split: SplitIr) =>
  validateChange({
    revision: 1,
    upsertRoutes: [],
    removeTargets: [],
    upsertEndpointSets: [],
    removeEndpointSetIds: [],
    splits: [split],
  }).map(({ path, message }) => `${path}: ${message}`)

const FULL: SplitIr = {
  ...AB,
  stickyHeader: 'x-user-id',
  measured: true,
  candidates: [
    { target: 'iris', weight: 1 },
    {
      target: 'p.pipeline',
      weight: 0,
      match: [
        { header: 'x-team', exact: 'a b, 100% "c"' },
        { header: 'user-agent', prefix: 'curl/' },
        { header: 'x-beta', present: true },
      ],
    },
  ],
  mirrors: [{ target: 'iris-c', percent: 0.5 }],
}

describe('a split', () => {
  it('with everything is written as the filter reads it', () => {
    expect(issuesOf(FULL)).toEqual([])
    const table = toRouterTable(OPTIONS, [FULL])
    expect(table.split('\n').slice(3)).toEqual([
      'split iris iris 1 p.pipeline 0',
      'seed ab',
      'sticky x-user-id',
      'measured',
      'mirrored',
      'match p.pipeline x-team exact a%20b%2C%20100%25%20%22c%22',
      'match p.pipeline user-agent prefix curl%2F',
      'match p.pipeline x-beta present',
      '',
    ])
    const host = new ProxyHost(compileFilter('router'))
    expect(host.configure(table), host.logs.join()).toBe(true)
  })

  it.each<[string, Partial<SplitIr>, string]>([
    ['a target that is no name', { target: '_x' }, 'splits[0]: "_x" cannot be a target'],
    ['a seed that is no name', { seed: 'a b' }, 'splits[0].seed: "a b" cannot be a name'],
    ['no candidate', { candidates: [] }, 'splits[0].candidates: must not be empty'],
    [
      'a candidate twice',
      { candidates: [...AB.candidates, ...AB.candidates.slice(1)] },
      'splits[0]: "iris-b" is named more than once among candidates and mirrors',
    ],
    [
      'a mirror that is a candidate',
      { mirrors: [{ target: 'iris', percent: 10 }] },
      'splits[0]: "iris" is named more than once among candidates and mirrors',
    ],
    [
      'a mirror of nothing',
      { mirrors: [{ target: 'c', percent: 0 }] },
      'splits[0].mirrors[0].percent: 0 must be 0.0001 to 100',
    ],
    [
      'a mirror of more than all',
      { mirrors: [{ target: 'c', percent: 100.5 }] },
      'splits[0].mirrors[0].percent: 100.5 must be 0.0001 to 100',
    ],
    [
      'a header in capitals',
      { stickyHeader: 'X-User' },
      'splits[0].stickyHeader: "X-User" must be the name of a header in lower case, 1 to 64 long',
    ],
    [
      'a condition that would match anything',
      { candidates: [matching({ header: 'x-team', prefix: '' })] },
      'splits[0].candidates[0].match[0].prefix: must be 1 to 256 printable characters, none of the ends a space',
    ],
    [
      'too many conditions',
      { candidates: [matching(...Array.from({ length: 17 }, () => ({ header: 'x', present: true }) as const))] },
      'splits[0].candidates[0].match: 17 are more than 16',
    ],
  ])('with %s is refused', (_what, parts, issue) => {
    expect(issuesOf({ ...AB, ...parts })).toEqual([issue])
  })
})

function matching(...match: NonNullable<CandidateIr['match']>): CandidateIr {
  return { target: 'a', weight: 1, match }
}
