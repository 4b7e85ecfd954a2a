import { Metadata, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelInferRequest } from '../../api/generated/inference/ModelInferRequest.ts'
import type { ModelInferResponse__Output } from '../../api/generated/inference/ModelInferResponse.ts'
import type { RepositoryIndexResponse__Output } from '../../api/generated/inference/RepositoryIndexResponse.ts'
import { ERROR_CODE_KEY } from '../../kit/grpc.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { type ModelServerProcess, startTestModelServer } from '../support/model-server-process.ts'

const TYPED: ModelInferRequest = {
  modelName: 'iris_1',
  id: 'g1',
  inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], contents: { fp32Contents: [1, 2, 3, 4] } }],
}
const RAW: ModelInferRequest = {
  modelName: 'iris_1',
  inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4] }],
  rawInputContents: [Buffer.from(Float32Array.of(1, 2, 3, 4).buffer)],
}

let server: ModelServerProcess

beforeAll(async () => {
  server = await startTestModelServer('--max-request-bytes', '100000')
  server.addModel('iris_1', { sample: 'iris' })
  server.addModel('iris_2', { sample: 'iris-v2' })
  server.addModel('bad_1', { document: { platform: 'test', behaviour: { kind: 'fail', status: 500 } } })
  server.addModel('stubborn_1', { document: { platform: 'test', behaviour: { kind: 'refuse-load' } } })
  await Promise.all(['iris_1', 'iris_2', 'bad_1'].map(server.load))
})
afterAll(async () => {
  await server.stop()
})

const infer = (request: ModelInferRequest, metadata = new Metadata()) =>
  grpcCall<ModelInferResponse__Output>((callback) => server.client.ModelInfer(request, metadata, callback))

describe('iris over gRPC', () => {
  it('answers typed contents with typed contents', async () => {
    const answer = await infer(TYPED)
    expect(answer).toMatchObject({ modelName: 'iris_1', modelVersion: '1', id: 'g1', rawOutputContents: [] })
    expect(answer.outputs.map((output) => [output.name, output.datatype, output.shape])).toEqual([
      ['predict', 'INT64', ['1']],
      ['probabilities', 'FP32', ['1', '3']],
    ])
    expect(answer.outputs[0]?.contents?.int64Contents).toEqual(['2'])
    expect(answer.outputs[1]?.contents?.fp32Contents).toHaveLength(3)
  })

  it('answers raw contents with raw contents', async () => {
    const answer = await infer({ ...RAW, outputs: [{ name: 'predict' }] })
    expect(answer.outputs.map((output) => output.contents)).toEqual([null])
    expect(answer.rawOutputContents.map((raw) => raw.readBigInt64LE())).toEqual([2n])
  })

  it('takes the name from the metadata before the message', async () => {
    const metadata = new Metadata()
    metadata.set('seldon-internal-model', 'iris_2')
    expect((await infer({ ...TYPED, modelName: 'iris' }, metadata)).modelName).toBe('iris_2')
  })

  it('tells its metadata and that it is ready', async () => {
    const metadata = await grpcCall<object>((callback) => server.client.ModelMetadata({ name: 'iris_1' }, callback))
    expect(metadata).toMatchObject({
      name: 'iris_1',
      versions: ['1'],
      platform: 'onnx',
      inputs: [{ name: 'predict', datatype: 'FP32', shape: ['-1', '4'] }],
    })
    expect(await grpcCall((callback) => server.client.ModelReady({ name: 'iris_1' }, callback))).toEqual({
      ready: true,
    })
    expect(await grpcCall((callback) => server.client.ModelReady({ name: 'stubborn_1' }, callback))).toEqual({
      ready: false,
    })
  })
})

describe('a gRPC call that cannot be answered says why', () => {
  const [input] = TYPED.inputs ?? []
  it.each<[string, ModelInferRequest, number, string, string]>([
    ['an unknown model', { ...TYPED, modelName: 'nobody' }, status.NOT_FOUND, 'MODEL_NOT_FOUND', 'model "nobody"'],
    [
      'a wrong datatype',
      { ...TYPED, inputs: [{ ...input, datatype: 'FP64' }] },
      status.INVALID_ARGUMENT,
      'TENSOR_INVALID',
      'tensor "predict"',
    ],
    [
      'a wrong shape',
      { ...RAW, inputs: [{ ...input, contents: null, shape: [4] }] },
      status.INVALID_ARGUMENT,
      'TENSOR_INVALID',
      'input "predict": has shape [4]',
    ],
    [
      'short raw contents',
      { ...RAW, rawInputContents: [Buffer.alloc(3)] },
      status.INVALID_ARGUMENT,
      'TENSOR_INVALID',
      'tensor "predict": has 3 bytes',
    ],
    ['a failing model', { ...TYPED, modelName: 'bad_1' }, status.INTERNAL, 'INFERENCE_FAILED', 'failed on purpose'],
  ])('%s', async (_, request, code, ours, message) => {
    await expect(infer(request)).rejects.toMatchObject({
      code,
      details: expect.stringContaining(message) as unknown,
      metadata: expect.toSatisfy((sent: Metadata) => sent.get(ERROR_CODE_KEY)[0] === ours) as unknown,
    })
  })

  it('a message beyond the limit', async () => {
    await expect(infer({ ...RAW, rawInputContents: [Buffer.alloc(200_000)] })).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    })
  })

  it('a stream', async () => {
    const stream = server.client.ModelStreamInfer()
    const failure = new Promise((resolve) => stream.on('error', resolve).on('data', () => undefined))
    stream.write(TYPED)
    expect(await failure).toMatchObject({ code: status.UNIMPLEMENTED })
  })
})

describe('the server over gRPC', () => {
  it('is live, ready and says what it is', async () => {
    expect(await grpcCall((callback) => server.client.ServerLive({}, callback))).toEqual({ live: true })
    expect(await grpcCall((callback) => server.client.ServerReady({}, callback))).toEqual({ ready: true })
    expect(await grpcCall((callback) => server.client.ServerMetadata({}, callback))).toMatchObject({ name: 'millrace' })
  })

  it('lists, loads and unloads models', async () => {
    server.addModel('extra_7', { document: { platform: 'test' } })
    const index = () =>
      grpcCall<RepositoryIndexResponse__Output>((callback) => server.client.RepositoryIndex({}, callback))
    const stateOf = async () => (await index()).models.find((model) => model.name === 'extra_7')?.state
    expect(await stateOf()).toBe('UNAVAILABLE')
    await grpcCall((callback) => server.client.RepositoryModelLoad({ modelName: 'extra_7' }, callback))
    expect(await stateOf()).toBe('READY')
    await grpcCall((callback) => server.client.RepositoryModelUnload({ modelName: 'extra_7' }, callback))
    expect(await stateOf()).toBe('UNAVAILABLE')
    await expect(
      grpcCall((callback) => server.client.RepositoryModelUnload({ modelName: 'extra_7' }, callback)),
    ).rejects.toMatchObject({ code: status.NOT_FOUND })
  })

  it('says why a model does not load', async () => {
    const load = grpcCall((callback) => server.client.RepositoryModelLoad({ modelName: 'stubborn_1' }, callback))
    await expect(load).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringContaining('model "stubborn_1" cannot be loaded: refused on purpose') as unknown,
    })
  })
})
