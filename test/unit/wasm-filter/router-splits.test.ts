import { describe, expect, it } from 'vitest'
import type { SplitIr } from '../../../xds/index.ts'
import { toRouterTable } from '../../../xds/translate/router-table.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { field, frame } from '../../support/grpc-frames.ts'
import { type Header, ProxyHost } from '../../../wasm-filter/host/proxy-host.ts'
import { routedBy, runStream } from '../../../wasm-filter/host/stream.ts'

const module = compileFilter('router')
const OPTIONS = { shards: 256, maxModels: 2_000, maxRequestBytes: 1_000_000 }

function hostWith(...splits: readonly SplitIr[]): ProxyHost {
  const host = new ProxyHost(module)
  expect(host.configure(toRouterTable(OPTIONS, splits)), host.logs.join()).toBe(true)
  return host
}

const split = (parts: Partial<SplitIr>): SplitIr => ({
  target: 'iris',
  seed: 'exp',
  candidates: [
    { target: 'iris', weight: 1 },
    { target: 'iris-b', weight: 1 },
  ],
  ...parts,
})

function targetOf(host: ProxyHost, headers: readonly Header[], name = 'iris'): string | undefined {
  const all: Header[] = [[':method', 'POST'], [':path', `/v2/models/${name}/infer`], ...headers]
  return routedBy(runStream(host, { headers: all }).headers)?.target
}

const targetsOf = (host: ProxyHost, headers: readonly Header[], times = 60): Set<string | undefined> =>
  new Set(Array.from({ length: times }, () => targetOf(host, headers)))

describe('conditions', () => {
  const host = hostWith(
    split({
      candidates: [
        { target: 'iris', weight: 1 },
        {
          target: 'iris-b',
          weight: 0,
          match: [
            { header: 'x-team', exact: 'a b, 50%' },
            { header: 'user-agent', prefix: 'curl/' },
          ],
        },
        { target: 'iris-c', weight: 0, match: [{ header: 'x-beta', present: true }] },
      ],
    }),
  )

  it.each<[string, readonly Header[], string]>([
    ['all hold', [['x-team', 'a b, 50%'], ['user-agent', 'curl/8.1']], 'iris-b'], // prettier-ignore
    ['one of several values holds', [['x-team', 'other'], ['x-team', 'a b, 50%'], ['user-agent', 'curl/']], 'iris-b'], // prettier-ignore
    ['one does not hold', [['x-team', 'a b, 50%'], ['user-agent', 'Curl/8']], 'iris'], // prettier-ignore
    ['a value is longer than the exact one', [['x-team', 'a b, 50% '], ['user-agent', 'curl/8.1']], 'iris'], // prettier-ignore
    ['a value is shorter than the prefix', [['x-team', 'a b, 50%'], ['user-agent', 'curl']], 'iris'], // prettier-ignore
    ['a header is there, though empty', [['x-beta', '']], 'iris-c'],
    ['the first candidate whose conditions hold is taken', [['x-beta', '1'], ['x-team', 'a b, 50%'], ['user-agent', 'curl/8']], 'iris-b'], // prettier-ignore
    ['they come before a token', [['x-seldon-route', ':iris_1:'], ['x-beta', 'y']], 'iris-c'], // prettier-ignore
    ['none holds', [], 'iris'],
  ])('%s', (_what, headers, target) => {
    expect(targetsOf(host, headers)).toEqual(new Set([target]))
  })
})

describe('a route token', () => {
  const host = hostWith(
    split({ candidates: [...split({}).candidates, { target: 'gone', weight: 0 }] }),
    split({
      target: 'e.experiment',
      candidates: [
        { target: 'p.pipeline', weight: 1 },
        { target: 'iris-b', weight: 1 },
      ],
    }),
  )

  it.each<[readonly string[], string]>([
    [[':iris_1:'], 'iris'],
    [[':iris-b_7:'], 'iris-b'],
    [[':iris-b_99999:'], 'iris-b'],
    [[':other_1:', ':iris-b_1:'], 'iris-b'],
    [[':other_1: :iris-b_1:'], 'iris-b'],
    [[':iris_1::iris-b_1:'], 'iris'],
    [[':iris_1:,:iris-b_1:'], 'iris'],
    [[':gone_1: :iris-b_2:'], 'iris-b'],
    [['iris-b_1'], 'iris-b'],
  ])('%j keeps to %s', (tokens, target) => {
    const headers = tokens.map((token): Header => ['x-seldon-route', token])
    expect(targetsOf(host, headers)).toEqual(new Set([target]))
  })

  it.each(['', ':', ':::', ':gone_1:', ':never_1:', ':iris_1x:', ':iris_:', ':_1:', ':iris-b_1', ' : : '.repeat(200)])(
    '%j of nothing that takes traffic leaves a normal choice',
    (token) => {
      const named = token === ':iris-b_1' ? 1 : 2
      expect(targetsOf(host, [['x-seldon-route', token]])).toHaveProperty('size', named)
    },
  )

  it('of a nested choice pins each split by its own candidate', () => {
    const headers: Header[] = [['x-seldon-route', ':iris-b_3: :p.pipeline:']]
    expect(targetsOf(host, headers)).toEqual(new Set(['iris-b']))
    const seen = new Set(Array.from({ length: 60 }, () => targetOf(host, [['x-seldon-route', ':x_1: :p.pipeline:']], 'e.experiment'))) // prettier-ignore
    expect(seen).toEqual(new Set(['p.pipeline']))
  })
})

const users = (count: number): string[] => Array.from({ length: count }, (_, index) => `user-${String(index)}`)

function assignments(weights: Readonly<Record<string, number>>, count: number, seed = 'exp'): (string | undefined)[] {
  const candidates = Object.entries(weights).map(([target, weight]) => ({ target, weight }))
  const host = hostWith(split({ seed, stickyHeader: 'x-user', candidates }))
  return users(count).map((user) => targetOf(host, [['x-user', user]]))
}

const share = (targets: readonly unknown[], target: string): number =>
  targets.filter((one) => one === target).length / targets.length

describe('a sticky header', () => {
  it('always meets the same candidate, in every VM, whatever was asked before and in which order candidates stand', () => {
    const first = assignments({ iris: 3, 'iris-b': 2, 'iris-c': 1 }, 1_000)
    const second = assignments({ 'iris-c': 10, iris: 30, 'iris-b': 20 }, 1_000)
    expect(second).toEqual(first)
  })

  it('shares by weight, however unequal, and differently in every experiment', () => {
    const count = 20_000
    const weights = { a: 900, b: 90, c: 10, never: 0 }
    const targets = assignments(weights, count)
    for (const [target, weight] of Object.entries(weights)) {
      const expected = weight / 1_000
      expect(Math.abs(share(targets, target) - expected)).toBeLessThanOrEqual(4 * Math.sqrt((expected * (1 - expected)) / count)) // prettier-ignore
    }
    const other = assignments(weights, count, 'another')
    const both = targets.filter((target, index) => target === 'b' && other[index] === 'b').length / count
    expect(both).toBeLessThan(0.09 * 0.09 + 4 * Math.sqrt((0.0081 * 0.9919) / count))
  })

  it.each<[string, Record<string, number>, Record<string, number>, string]>([
    ['10 -> 20 of two', { a: 90, b: 10 }, { a: 80, b: 20 }, 'b'],
    ['0 -> 1 of two', { a: 100, b: 0 }, { a: 99, b: 1 }, 'b'],
    ['50 -> 100 of two', { a: 50, b: 50 }, { a: 0, b: 100 }, 'b'],
    ['one of three grows', { a: 60, b: 30, c: 10 }, { a: 60, b: 30, c: 20 }, 'c'],
    ['a third one comes', { a: 60, b: 30 }, { a: 60, b: 30, c: 10 }, 'c'],
  ])('when weights grow (%s) moves users only to what grew, and no more than its share', (_what, from, to, grown) => {
    const count = 5_000
    const before = assignments(from, count)
    const after = assignments(to, count)
    const moved = users(count).filter((_, index) => before[index] !== after[index]).length
    expect(new Set(after.filter((target, index) => before[index] !== target))).toEqual(new Set([grown]))
    expect(moved / count).toBeCloseTo(share(after, grown) - share(before, grown), 10)
    expect(moved).toBeGreaterThan(0)
  })

  it('that is absent or empty leaves it to chance', () => {
    const host = hostWith(split({ stickyHeader: 'x-user' }))
    expect(targetsOf(host, []).size).toBe(2)
    expect(targetsOf(host, [['x-user', '']]).size).toBe(2)
    expect(targetsOf(host, [['x-user', 'u']]).size).toBe(1)
  })

  it('and token and condition are seen too when only the message of a gRPC call names the target', () => {
    const host = hostWith(split({ stickyHeader: 'x-user', candidates: [{ target: 'a', weight: 1 }, { target: 'b', weight: 1 }, { target: 'c', weight: 0, match: [{ header: 'x-beta', present: true }] }] })) // prettier-ignore
    const call = (...headers: readonly Header[]) => {
      const all: Header[] = [
        [':method', 'POST'],
        [':path', '/inference.GRPCInferenceService/ModelInfer'],
        ['content-type', 'application/grpc'],
        ...headers,
      ]
      const message = frame(field(1, 'iris'))
      return routedBy(runStream(host, { headers: all, chunks: [message] }).headers)?.target
    }
    for (const user of users(20)) expect(call(['x-user', user])).toBe(targetOf(host, [['x-user', user]]))
    expect(call(['x-user', 'u'], ['x-seldon-route', ':b_1:'])).toBe('b')
    expect(call(['x-user', 'u'], ['x-seldon-route', ':a_1:'])).toBe('a')
    expect(call(['x-user', 'u'], ['x-beta', '1'])).toBe('c')
  })
})

it('a mirrored split says so to the routes, and nobody else can', () => {
  const host = hostWith(split({ mirrors: [{ target: 'shadow', percent: 100 }] }))
  const mirrorOf = (name: string, ...headers: readonly Header[]) =>
    runStream(host, { headers: [[':method', 'POST'], [':path', `/v2/models/${name}/infer`], ...headers] })
      .headers.filter(([header]) => header === 'x-millrace-mirror')
      .map(([, value]) => value)
  expect(mirrorOf('iris')).toEqual(['iris'])
  expect(mirrorOf('iris', ['x-millrace-mirror', 'forged'])).toEqual(['iris'])
  expect(mirrorOf('iris-b')).toEqual([])
  expect(mirrorOf('iris-b', ['x-millrace-mirror', 'iris'])).toEqual([])
})
