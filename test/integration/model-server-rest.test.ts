import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseRestResponse } from '../../api/oip/rest-response.ts'
import { toRestRequest } from '../../api/oip/rest-request.ts'
import { decodeElements } from '../../api/oip/elements.ts'
import { IRIS_REQUEST, type ModelServerProcess, startTestModelServer } from '../support/model-server-process.ts'
import { validTensor } from '../unit/oip/valid-tensor.ts'

let server: ModelServerProcess

beforeAll(async () => {
  server = await startTestModelServer()
  server.addModel('iris_1', { sample: 'iris' })
  server.addModel('iris_2', { sample: 'iris-v2' })
  server.addModel('slow_1', { document: { platform: 'test', behaviour: { kind: 'sleep', ms: 60_000 } } })
  server.addModel('bad_1', { document: { platform: 'test', behaviour: { kind: 'fail', status: 500 } } })
  server.addModel('stubborn_1', { document: { platform: 'test', behaviour: { kind: 'refuse-load' } } })
  await Promise.all(['iris_1', 'iris_2', 'slow_1', 'bad_1'].map(server.load))
})
afterAll(async () => {
  await server.stop()
})

const json = async (response: Response | Promise<Response>) => (await response).json() as Promise<unknown>
const get = (path: string, headers: Record<string, string> = {}) => fetch(`${server.url}${path}`, { headers })

describe('iris over REST', () => {
  it('answers with its internal name, version, the id and all outputs', async () => {
    const response = await server.post('/v2/models/iris_1/infer', IRIS_REQUEST.replace('{', '{"id":"r1",'))
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toEqual({
      model_name: 'iris_1',
      model_version: '1',
      id: 'r1',
      parameters: {},
      outputs: [
        { name: 'predict', datatype: 'INT64', shape: [1], data: [2] },
        {
          name: 'probabilities',
          datatype: 'FP32',
          shape: [1, 3],
          data: [0, expect.closeTo(0.0217), expect.closeTo(0.978)],
        },
      ],
    })
  })

  it('gives only the outputs asked for, in their order', async () => {
    const body = { ...(JSON.parse(IRIS_REQUEST) as object), outputs: [{ name: 'probabilities' }, { name: 'predict' }] }
    const answer = await json(server.post('/v2/models/iris_1/infer', JSON.stringify(body)))
    expect(answer).toMatchObject({ outputs: [{ name: 'probabilities' }, { name: 'predict' }] })
    const one = { ...(JSON.parse(IRIS_REQUEST) as object), outputs: [{ name: 'predict' }] }
    expect(await json(server.post('/v2/models/iris_1/infer', JSON.stringify(one)))).toMatchObject({
      outputs: [{ name: 'predict' }],
    })
  })

  it('takes the name from the header before the path, the last one of several', async () => {
    const named = (header: string) =>
      server.post('/v2/models/iris/infer', IRIS_REQUEST, { 'seldon-internal-model': header })
    expect(await json(named('iris_2'))).toMatchObject({ model_name: 'iris_2', model_version: '2' })
    expect(await json(named('nonsense, iris_1'))).toMatchObject({ model_name: 'iris_1' })
    expect((await server.post('/v2/models/iris/infer', IRIS_REQUEST)).status).toBe(404)
  })

  it('ignores the version in the path and decodes its name', async () => {
    const answer = await json(server.post('/v2/models/iris%5F1/versions/7/infer', IRIS_REQUEST))
    expect(answer).toMatchObject({ model_name: 'iris_1' })
  })

  it('speaks the binary-data extension both ways', async () => {
    const request = {
      id: 'b',
      parameters: { binary_data_output: true },
      inputs: [validTensor('predict', 'FP32', [2, 4], [1, 2, 3, 4, 5, 3, 1, 0])],
      outputs: [
        { name: 'predict', parameters: {} },
        { name: 'probabilities', parameters: { binary_data: false } },
      ],
    }
    const body = toRestRequest(request, true)
    const response = await server.post('/v2/models/iris_1/infer', Buffer.concat(body.chunks), {
      'inference-header-content-length': String(body.jsonLength),
    })
    const jsonLength = response.headers.get('inference-header-content-length') ?? undefined
    const answered = Buffer.from(await response.arrayBuffer())
    expect(response.headers.get('content-type')).toBe('application/octet-stream')
    expect(JSON.parse(answered.subarray(0, Number(jsonLength)).toString())).toMatchObject({
      outputs: [
        { name: 'predict', parameters: { binary_data_size: 16 } },
        { name: 'probabilities', data: expect.any(Array) as unknown },
      ],
    })
    const [labels, probabilities] = parseRestResponse(answered, jsonLength).outputs
    expect(labels && decodeElements(labels)).toEqual([2n, 0n])
    expect(probabilities?.shape).toEqual([2, 3])
  })

  it('tells its metadata', async () => {
    expect(await json(get('/v2/models/any', { 'seldon-internal-model': 'iris_1' }))).toEqual({
      name: 'iris_1',
      versions: ['1'],
      platform: 'onnx',
      parameters: { description: 'iris species by a decision tree of depth 2' },
      inputs: [{ name: 'predict', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [
        { name: 'predict', datatype: 'INT64', shape: [-1] },
        { name: 'probabilities', datatype: 'FP32', shape: [-1, 3] },
      ],
    })
  })

  it('answers health while another model computes, and the other way round', async () => {
    const aborted = new AbortController()
    const slow = fetch(`${server.url}/v2/models/slow_1/infer`, {
      method: 'POST',
      body: IRIS_REQUEST,
      signal: aborted.signal,
    })
    expect((await server.post('/v2/models/iris_1/infer', IRIS_REQUEST)).status).toBe(200)
    aborted.abort()
    await expect(slow).rejects.toThrow()
  })
})

describe('a REST call that cannot be answered says why', () => {
  it('tells by its code that a model is not here: Envoy then asks another server', async () => {
    const { headers } = await server.post('/v2/models/nobody_1/infer', IRIS_REQUEST)
    expect(headers.get('x-millrace-error-code')).toBe('MODEL_NOT_FOUND')
  })
  const infer = (model: string) => `/v2/models/${model}/infer`
  it.each([
    ['an unknown model', infer('nobody_1'), IRIS_REQUEST, 404, 'model "nobody_1" is not loaded'],
    ['a model that is there but not loaded', infer('stubborn_1'), IRIS_REQUEST, 404, 'not loaded'],
    [
      'a wrong datatype',
      infer('iris_1'),
      IRIS_REQUEST.replace('FP32', 'FP64'),
      400,
      'input "predict": is FP64, must be FP32',
    ],
    [
      'a wrong shape',
      infer('iris_1'),
      IRIS_REQUEST.replace('[1,4]', '[4,1]').replace('[[1,2,3,4]]', '[1,2,3,4]'),
      400,
      'has shape [4,1]',
    ],
    ['a missing input', infer('iris_1'), '{"inputs":[]}', 400, 'input "predict": is missing; send FP32 [-1,4]'],
    [
      'an unknown output',
      infer('iris_1'),
      IRIS_REQUEST.replace('{', '{"outputs":[{"name":"x"}],'),
      400,
      'output "x": is unknown',
    ],
    ['no JSON', infer('iris_1'), 'hello', 400, 'the body is not JSON'],
    ['a failing model', infer('bad_1'), IRIS_REQUEST, 500, 'failed on purpose with 500'],
    ['a load of nothing', '/v2/repository/models/nobody_1/load', '', 404, 'not in this server'],
    ['a load outside the repository', '/v2/repository/models/..%2F..%2Fetc/load', '', 404, 'not in this server'],
    ['a load of the parent', '/v2/repository/models/%2E%2E/load', '', 404, 'not'],
    ['a model that refuses to load', '/v2/repository/models/stubborn_1/load', '', 500, 'refused on purpose'],
    ['an unload of nothing', '/v2/repository/models/nobody_1/unload', '', 404, 'not loaded'],
    ['a path of nobody', '/v2/models/iris_1/explain', '{}', 404, 'POST /v2/models/iris_1/explain is not a call'],
    ['a bad percent encoding', '/v2/models/%ff/infer', IRIS_REQUEST, 400, 'badly percent-encoded'],
  ])('%s', async (_, path, body, status, message) => {
    const response = await server.post(path, body)
    const answer = (await response.json()) as { error: string }
    expect([response.status, Object.keys(answer)]).toEqual([status, ['error']])
    expect(answer.error).toContain(message)
  })

  it('a compressed body', async () => {
    const response = await server.post('/v2/models/iris_1/infer', IRIS_REQUEST, { 'content-encoding': 'gzip' })
    expect([response.status, await response.json()]).toMatchObject([400, { error: /content-encoding gzip/ }])
  })
})

describe('the server over REST', () => {
  it('is live, ready and says what it is', async () => {
    expect((await get('/v2/health/live')).status).toBe(200)
    expect((await get('/v2/health/ready')).status).toBe(200)
    expect(await json(get('/v2'))).toMatchObject({
      name: 'millrace',
      extensions: ['model_repository', 'binary_tensor_data'],
    })
  })

  it('says which models are ready', async () => {
    expect((await get('/v2/models/iris_1/ready')).status).toBe(200)
    expect((await get('/v2/models/stubborn_1/ready')).status).toBe(400)
    expect((await get('/v2/models/nobody_1/ready')).status).toBe(404)
  })

  it('lists, loads and unloads models', async () => {
    server.addModel('extra_5', { document: { platform: 'test' } })
    const entryOf = async (body = '') =>
      ((await json(server.post('/v2/repository/index', body))) as { name: string }[]).find((e) => e.name === 'extra_5')
    const waiting = { name: 'extra_5', version: '5', state: 'UNAVAILABLE', reason: 'not loaded' }
    expect(await entryOf()).toEqual(waiting)
    expect(await entryOf('{"ready":true}')).toBeUndefined()
    await server.load('extra_5')
    expect(await entryOf('{"ready":true}')).toEqual({ ...waiting, state: 'READY', reason: '' })
    expect((await server.post('/v2/repository/models/extra_5/unload')).status).toBe(200)
    expect(await entryOf()).toEqual(waiting)
    expect((await server.post('/v2/models/extra_5/infer', IRIS_REQUEST)).status).toBe(404)
  })
})
