import { describe, expect, it } from 'vitest'
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost, type Header } from '../../../wasm-filter/host/proxy-host.ts'
import { routedBy, runStream } from '../../../wasm-filter/host/stream.ts'

const module = compileFilter('router')
const host = new ProxyHost(module)
host.configure('shards 256\n')

const rest = (method: string, path: string, ...extra: readonly Header[]): Header[] => [
  [':method', method],
  [':path', path],
  ['content-type', 'application/json'],
  ...extra,
]
const grpc = (method: string, ...extra: readonly Header[]): Header[] => [
  [':method', 'POST'],
  [':path', `/inference.GRPCInferenceService/${method}`],
  ['content-type', 'application/grpc'],
  ...extra,
]
const asks = (name: string): Header => ['seldon-model', name]
const targetOf = (headers: Header[]): string | undefined => routedBy(runStream(host, { headers }).headers)?.target

describe('the target of a REST call', () => {
  it.each([
    ['POST', '/v2/models/iris/infer', 'iris'],
    ['POST', '/v2/models/iris/versions/7/infer', 'iris'],
    ['POST', '/v2/models/iris/infer?trace=1', 'iris'],
    ['POST', '/v2/models/iris/infer_stream', 'iris'],
    ['POST', '/v2/models/iris/generate', 'iris'],
    ['POST', '/v2/models/iris/generate_stream', 'iris'],
    ['GET', '/v2/models/iris', 'iris'],
    ['HEAD', '/v2/models/iris', 'iris'],
    ['GET', '/v2/models/iris/versions/7', 'iris'],
    ['GET', '/v2/models/iris/ready', 'iris'],
    ['GET', '/v2/models/iris/versions/7/ready', 'iris'],
    ['POST', '/v2/models/%69ri%73/infer', 'iris'],
    ['POST', '/v2/models/iris.model/infer', 'iris'],
    ['POST', '/v2/models/p.pipeline/infer', 'p.pipeline'],
    ['POST', '/v2/models/e.experiment/infer', 'e.experiment'],
    ['POST', '/v2/pipelines/p/infer', 'p.pipeline'],
    ['POST', '/v2/pipelines/p.pipeline/infer', 'p.pipeline'],
    ['GET', '/v2/pipelines/p/ready', 'p.pipeline'],
    ['GET', '/ready', '_ready'],
    ['GET', '/v2', '_mesh'],
    ['GET', '/v2/health/ready', '_mesh'],
  ])('%s %s is %s', (method, path, target) => {
    expect(targetOf(rest(method, path))).toBe(target)
  })

  it('is what the header names, whatever the path says', () => {
    expect(targetOf(rest('POST', '/v2/models/other/infer', asks('iris')))).toBe('iris')
  })

  it('is what the last of several headers names', () => {
    expect(targetOf(rest('POST', '/v2/models/x/infer', asks('first'), asks('iris')))).toBe('iris')
    expect(targetOf(rest('POST', '/v2/models/x/infer', asks('first, iris ')))).toBe('iris')
  })

  it.each([
    ['m.model', 'm'],
    ['p.pipeline', 'p.pipeline'],
    ['e.experiment', 'e.experiment'],
    ['', 'x'],
    ['a'.repeat(63), 'a'.repeat(63)],
    [`${'a'.repeat(63)}.experiment`, `${'a'.repeat(63)}.experiment`],
  ])('of the header "%s" is "%s"', (asked, target) => {
    expect(targetOf(rest('POST', '/v2/models/x/infer', asks(asked)))).toBe(target)
  })
})

describe('the target of a gRPC call', () => {
  it.each(['ModelInfer', 'ModelStreamInfer', 'ModelMetadata', 'ModelReady'])(
    '%s is what the header names',
    (method) => {
      expect(targetOf(grpc(method, asks('iris')))).toBe('iris')
    },
  )

  it.each(['ServerLive', 'ServerReady', 'ServerMetadata'])('%s is the mesh', (method) => {
    expect(targetOf(grpc(method))).toBe('_mesh')
  })

  it.each(['application/grpc+proto', 'application/grpc;charset=utf-8'])('is found with content type %s', (type) => {
    const headers = grpc('ModelInfer', asks('iris')).map((header): Header =>
      header[0] === 'content-type' ? ['content-type', type] : header,
    )
    expect(targetOf(headers)).toBe('iris')
  })
})

describe('what is refused', () => {
  const refusal = (headers: Header[]) => {
    const { headers: after, localReply } = runStream(host, { headers })
    expect(routedBy(after)?.target).toBeUndefined()
    return localReply
  }

  it.each([
    ['POST', '/v2/repository/index'],
    ['POST', '/v2/repository/models/iris/load'],
    ['POST', '/v2/repository/models/iris/unload'],
    ['POST', '//v2/repository/index'],
    ['POST', '/v2//models/iris/infer'],
    ['POST', '/V2/models/iris/infer'],
    ['POST', '/v2/models/iris/../../repository/index'],
    ['POST', '/v2/models/iris/versions/../infer'],
    ['POST', '/v2/models/iris/versions/%2e%2e/infer'],
    ['POST', '/v2/models/iris/versions//infer'],
    ['POST', '/v2/models/iris/infer/'],
    ['POST', '/v2/models/iris/infer%20'],
    ['POST', '/v2/models/iris/inferx'],
    ['POST', '/v2/models/iris/INFER'],
    ['POST', '/v2/models/iris/infer;x=1'],
    ['POST', '/v2/models/iris/infer#x'],
    ['POST', '/v2/models/iris/load'],
    ['POST', '/v2/models/iris/unload'],
    ['POST', '/v2/models/iris'],
    ['GET', '/v2/models/iris/infer'],
    ['DELETE', '/v2/models/iris'],
    ['POST', '/v2/models'],
    ['GET', '/v2/models/iris/'],
    ['GET', '/v2/'],
    ['POST', '/v2'],
    ['GET', '/'],
    ['GET', ''],
    ['POST', '/inference.GRPCInferenceService/ModelInfer'],
  ])('%s %s is 404, even with a header that names a model', (method, path) => {
    for (const extra of [[], [asks('iris')]]) {
      const reply = refusal(rest(method, path, ...extra))
      expect(reply).toMatchObject({ httpStatus: 404, headers: [['content-type', 'application/json']] })
      expect(JSON.parse(reply?.body ?? '')).toEqual({ error: expect.stringContaining('is not served here') })
    }
  })

  it.each([
    '/v2/models/%2e%2e%2frepository%2findex/infer',
    '/v2/models/..%2f..%2frepository/infer',
    '/v2/models//infer',
    '/v2/models/%00/infer',
    '/v2/models/%zz/infer',
    '/v2/models/iris%2/infer',
    '/v2/models/_mesh/infer',
    '/v2/models/_ready/infer',
    `/v2/models/${'a'.repeat(64)}/infer`,
    `/v2/pipelines/${'a'.repeat(64)}/infer`,
    `/v2/models/${'%61'.repeat(5000)}/infer`,
  ])('the name in %s is 404, even with a header that names a model', (path) => {
    for (const extra of [[], [asks('iris')]]) {
      const reply = refusal(rest('POST', path, ...extra))
      expect(reply?.httpStatus).toBe(404)
      expect(JSON.parse(reply?.body ?? '')).toEqual({ error: expect.stringContaining('not found') })
    }
  })

  it.each([
    '_',
    '_mesh',
    '_ready',
    '-a',
    'a b',
    'a/b',
    '../x',
    'a"b',
    'é',
    '.model',
    'a'.repeat(64),
    'a'.repeat(70_000),
  ])('the header "%s" is 404 for REST and INVALID_ARGUMENT for gRPC', (name) => {
    const reply = refusal(rest('POST', '/v2/models/x/infer', asks(name)))
    expect(reply?.httpStatus).toBe(404)
    expect(JSON.parse(reply?.body ?? '')).toEqual({ error: expect.stringContaining('not found') })
    expect(refusal(grpc('ModelInfer', asks(name)))).toMatchObject({ grpcStatus: 3 })
  })

  it.each([
    '/inference.GRPCInferenceService/RepositoryIndex',
    '/inference.GRPCInferenceService/RepositoryModelLoad',
    '/inference.GRPCInferenceService/RepositoryModelUnload',
    '/inference.GRPCInferenceService/ModelInfer/',
    '/inference.GRPCInferenceService/ModelInfer?x',
    '/inference.GRPCInferenceService/modelinfer',
    '/inference.GRPCInferenceService/%4dodelInfer',
    '/inference.GRPCInferenceService//RepositoryIndex',
    '//inference.GRPCInferenceService/ModelInfer',
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    '/v2/models/iris/infer',
  ])('gRPC %s is UNIMPLEMENTED, even with a header that names a model', (path) => {
    const headers: Header[] = [[':method', 'POST'], [':path', path], ['content-type', 'application/grpc'], asks('iris')]
    expect(refusal(headers)).toMatchObject({ grpcStatus: 12, body: expect.stringContaining('is not served here') })
  })

  it('a gRPC-Web call is not taken for gRPC', () => {
    const headers = grpc('ModelInfer', asks('iris')).map((header): Header =>
      header[0] === 'content-type' ? ['content-type', 'application/grpc-web'] : header,
    )
    expect(refusal(headers)?.httpStatus).toBe(404)
  })
})

it('health/live is answered by the filter itself', () => {
  const { localReply } = runStream(host, { headers: rest('GET', '/v2/health/live') })
  expect(localReply).toMatchObject({ httpStatus: 200, body: '{"live":true}' })
})
