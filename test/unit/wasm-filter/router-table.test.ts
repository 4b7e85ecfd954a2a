import { describe, expect, it } from 'vitest'
import { toRouterTable } from '../../../xds/translate/router-table.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost } from '../../../wasm-filter/host/proxy-host.ts'
import { routedBy, runStream } from '../../../wasm-filter/host/stream.ts'

const module = compileFilter('router')

function targetsOf(host: ProxyHost, name: string, times: number): Map<string, number> {
  const counts = new Map<string, number>()
  for (let i = 0; i < times; i++) {
    const { headers } = runStream(host, {
      headers: [
        [':method', 'POST'],
        [':path', '/v2/models/x/infer'],
        ['seldon-model', name],
      ],
    })
    const target = routedBy(headers)?.target ?? ''
    counts.set(target, (counts.get(target) ?? 0) + 1)
  }
  return counts
}

describe('a split', () => {
  it('shares its requests by weight, and leaves other targets alone', () => {
    const host = new ProxyHost(module)
    expect(host.configure('split e.experiment a 90 b 10 never 0\n')).toBe(true)
    const counts = targetsOf(host, 'e.experiment', 4_000)
    expect(counts.get('a')).toBeGreaterThan(3_400)
    expect(counts.get('b')).toBeGreaterThan(250)
    expect((counts.get('a') ?? 0) + (counts.get('b') ?? 0)).toBe(4_000)
    expect(targetsOf(host, 'iris', 3)).toEqual(new Map([['iris', 3]]))
  })

  it('is found among thousands', () => {
    const splits = Array.from({ length: 5_000 }, (_, index) => ({
      target: `t-${String(index)}`,
      seed: 'many',
      candidates: [{ target: `c-${String(index)}`, weight: 1 }],
    }))
    const host = new ProxyHost(module)
    expect(host.configure(toRouterTable({ shards: 256, maxModels: 2_000, maxRequestBytes: 1_000 }, splits))).toBe(true)
    for (const index of [0, 1, 2_499, 4_999])
      expect(targetsOf(host, `t-${String(index)}`, 1)).toEqual(new Map([[`c-${String(index)}`, 1]]))
  })

  it('goes when a table without it comes', () => {
    const host = new ProxyHost(module)
    host.configure('split m a 1\n', 1)
    host.configure('shards 8\n', 2)
    expect(targetsOf(host, 'm', 1)).toEqual(new Map([['m', 1]]))
  })
})

describe('a table', () => {
  it.each(['', '\n', 'shards 1\n', 'shards 65536', 'max_models 1\nsplit a b 1\n', 'max_request_bytes 4294967295\n'])(
    '%j is accepted',
    (table) => {
      expect(new ProxyHost(module).configure(table)).toBe(true)
    },
  )

  it.each([
    ['shards 0\n', 1],
    ['shards 65537\n', 1],
    ['shards 99999999999\n', 1],
    ['shards x\n', 1],
    ['shards\n', 1],
    ['shards 1 2\n', 1],
    ['shards 1 \n', 1],
    [' shards 1\n', 1],
    ['\nmax_models 0\n', 2],
    ['max_models 65536\n', 1],
    ['max_request_bytes 0\n', 1],
    ['max_request_bytes 4294967296\n', 1],
    ['unknown 1\n', 1],
    ['split\n', 1],
    ['split a\n', 1],
    ['split a b\n', 1],
    ['split a b 0\n', 1],
    ['split a b 1 c\n', 1],
    ['split a b -1\n', 1],
    ['split a b 1000001\n', 1],
    ['split a b  1\n', 1],
    ['split _mesh b 1\n', 1],
    ['split a ../b 1\n', 1],
    [`split ${'a'.repeat(75)} b 1\n`, 1],
    ['shards 2\nsplit a b 1\nsplit a c 1\n', 3],
  ])('%j is refused for its line %i, and the one before stays', (table, line) => {
    const host = new ProxyHost(module)
    expect(host.configure('split m a 1\n')).toBe(true)
    expect(host.configure(table, 2)).toBe(false)
    expect(host.logs).toEqual([`router table refused: cannot read line ${String(line)}`])
    expect(targetsOf(host, 'm', 1)).toEqual(new Map([['a', 1]]))
  })

  it('may come 10,000 times: the memory stays as it is', () => {
    const host = new ProxyHost(module)
    const tables = [1, 400, 37, 900].map((count) =>
      Array.from({ length: count }, (_, index) => `split t${String(index)} a 1 b 2\n`).join(''),
    )
    const update = (index: number) => {
      const refused = index % 10 === 9
      const accepted = host.configure(
        `max_models ${String(1_000 + (index % 3))}\n${tables[index % 4] ?? ''}${refused ? '?' : ''}`,
        index,
      )
      expect(accepted).toBe(!refused)
    }
    for (let index = 0; index < 40; index++) update(index)
    const memoryBytes = host.memoryBytes
    for (let index = 0; index < 10_000; index++) update(index)
    expect(host.memoryBytes).toBe(memoryBytes)
    expect(targetsOf(host, 't0', 20).size).toBeGreaterThan(1)
  })
})
