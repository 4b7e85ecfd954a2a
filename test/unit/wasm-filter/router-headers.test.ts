import { expect, it } from 'vitest'
import { INTERNAL_NAME_HEADER, MIRROR_HEADER, TARGET_HEADER, targetKey } from '../../../xds/translate/names.ts'
import { fnv1a32, shardOf } from '../../../xds/translate/shard.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost, type Header } from '../../../wasm-filter/host/proxy-host.ts'
import { routedBy, runStream, valueOf } from '../../../wasm-filter/host/stream.ts'

const module = compileFilter('router')

function routerWith(table: string): ProxyHost {
  const host = new ProxyHost(module)
  expect(host.configure(table)).toBe(true)
  return host
}

const infer = (name: string, ...extra: readonly Header[]): Header[] => [
  [':method', 'POST'],
  [':path', `/v2/models/${name}/infer`],
  ...extra,
]

it('adds exactly the header that the routes are chosen by', () => {
  const before = infer('iris')
  const { headers } = runStream(routerWith('shards 256\n'), { headers: before })
  expect(headers.slice(before.length)).toEqual([[TARGET_HEADER, targetKey('iris', shardOf('iris', 256))]])
})

it('replaces every internal header that a client sends', () => {
  const forged: Header[] = [
    [TARGET_HEADER, 'evil'],
    [TARGET_HEADER, 'evil-too'],
    [MIRROR_HEADER, 'evil'],
    [INTERNAL_NAME_HEADER, 'evil_1'],
  ]
  const { headers } = runStream(routerWith(''), { headers: infer('iris', ...forged) })
  expect(headers.filter(([name]) => name === TARGET_HEADER)).toHaveLength(1)
  expect(routedBy(headers)?.target).toBe('iris')
  expect(valueOf(headers, MIRROR_HEADER)).toBeUndefined()
  expect(valueOf(headers, INTERNAL_NAME_HEADER)).toBeUndefined()
})

it('keeps the name that was asked for', () => {
  const { headers } = runStream(routerWith(''), { headers: infer('x', ['seldon-model', 'iris.model']) })
  expect(valueOf(headers, 'seldon-model')).toBe('iris.model')
  expect(routedBy(headers)?.target).toBe('iris')
})

const GRPC_INFER: readonly Header[] = [
  [':method', 'POST'],
  [':path', '/inference.GRPCInferenceService/ModelInfer'],
  ['content-type', 'application/grpc'],
  ['seldon-model', 'iris'],
]

it.each(['0', '1', '1000'])('lets a body of %s bytes through when 1000 are the limit', (length) => {
  const host = routerWith('max_request_bytes 1000\n')
  expect(routedBy(runStream(host, { headers: infer('iris', ['content-length', length]) }).headers)?.target).toBe('iris')
})

it.each(['1001', '99999999999999999999', '1e3', '-1', ''])(
  'answers 413 to a content-length of "%s", and the same in gRPC',
  (length) => {
    const host = routerWith('max_request_bytes 1000\n')
    const rest = runStream(host, { headers: infer('iris', ['content-length', length]) })
    expect(rest.localReply).toMatchObject({
      httpStatus: 413,
      body: '{"error":"the request body is larger than the limit of 1000 bytes"}',
    })
    const grpc = runStream(host, { headers: [...GRPC_INFER, ['content-length', length]] })
    expect(grpc.localReply).toMatchObject({
      grpcStatus: 8,
      body: 'the request body is larger than the limit of 1000 bytes',
    })
  },
)

it('removes content-length from gRPC calls alone', () => {
  const length: Header = ['content-length', '12']
  const grpc: Header[] = [
    [':method', 'POST'],
    [':path', '/inference.GRPCInferenceService/ModelInfer'],
    ['content-type', 'application/grpc'],
    ['seldon-model', 'iris'],
    length,
  ]
  expect(valueOf(runStream(routerWith(''), { headers: grpc }).headers, 'content-length')).toBeUndefined()
  expect(valueOf(runStream(routerWith(''), { headers: infer('iris', length) }).headers, 'content-length')).toBe('12')
})

it('has the same hash as the control plane', () => {
  // Two coprime moduli together tell all 32 bits of the hash.
  const moduli = [65_536, 65_521]
  const names = ['iris', ...Array.from({ length: 500 }, (_, index) => `m-${String(index * 7919)}`)]
  for (const shards of moduli) {
    const host = routerWith(`shards ${String(shards)}\n`)
    for (const name of names) {
      const { headers } = runStream(host, { headers: infer(name) })
      expect(routedBy(headers)?.shard).toBe(fnv1a32(name) % shards)
    }
    const mesh = runStream(host, {
      headers: [
        [':method', 'GET'],
        [':path', '/v2'],
      ],
    })
    expect(routedBy(mesh.headers)?.shard).toBe(fnv1a32('_mesh') % shards)
  }
})
