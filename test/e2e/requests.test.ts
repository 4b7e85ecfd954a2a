/** What a client sees at the ingress: addressing, errors, limits, headers and counts. */
import { connect } from 'node:net'
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import type { StoredModel } from '../../api/resources/status.ts'
import { portUses } from '../../up/ports.ts'
import { readListeners } from '../support/listeners.ts'
import { applyAvailable, until, writeTestArtifact } from '../support/models.ts'
import { createGrpcSender, createRestSender } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

const FEATURES = [5.1, 3.5, 1.4, 0.2]
const inputs = [{ name: 'predict', shape: [1, 4], datatype: 'FP32', data: FEATURES }]

const SLOW_MS = 60_000

let slowInference: Awaited<ReturnType<typeof startSlowInference>>
beforeAll(async () => {
  slowInference = await startSlowInference()
})
afterAll(async () => {
  await slowInference.stop()
})

let mesh: TestMesh
let client: InstanceType<typeof GRPCInferenceService>
printLogsOfFailedTests(() => mesh)

const post = (path: string, headers: Record<string, string> = {}, body: unknown = { inputs }): Promise<Response> =>
  fetch(`http://${mesh.ingress}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

interface GrpcAnswer {
  readonly error: ServiceError | undefined
  readonly modelName: string
  readonly headers: Metadata
}
function inferGrpc(modelName: string, headers: Record<string, string> = {}, shape = [1, 4]): Promise<GrpcAnswer> {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(headers)) metadata.set(key, value)
  return new Promise((resolve) => {
    let received = new Metadata()
    const request = {
      modelName,
      inputs: [{ name: 'predict', datatype: 'FP32', shape, contents: { fp32Contents: FEATURES } }],
    }
    client
      .modelInfer(request, metadata, { deadline: Date.now() + 10_000 }, (error, response) => {
        resolve({ error: error ?? undefined, modelName: response?.modelName ?? '', headers: received })
      })
      .on('metadata', (got) => {
        received = got
      })
  })
}

describe.each([
  ['straight to the servers', { dataPath: 'direct' }],
  ["through the agents' proxies", { dataPath: 'agent' }],
  ["through the agents' proxies, which rename", { dataPath: 'agent', agentFlags: ['--name-source', 'message'] }],
] as const)('requests that go %s', (_name, options) => {
  beforeAll(async () => {
    mesh = await startMesh(options)
    client = new GRPCInferenceService(mesh.ingress, credentials.createInsecure(), GRPC_OPTIONS)
    await applyAvailable(mesh.admin, 'iris')
    const { resource } = await mesh.admin.get('Model', 'iris')
    expect((resource as StoredModel).status?.dataPath).toBe(options.dataPath)
  })
  afterAll(async () => {
    client.close()
    await mesh.stop()
  })

  test('REST by header only, by path only, and the header wins over the path', async () => {
    for (const [path, headers] of [
      ['/v2/models/anything/infer', { 'seldon-model': 'iris' }],
      ['/v2/models/iris/infer', {}],
      ['/v2/models/iris/versions/7/infer', {}],
      ['/v2/models/ir%69s/infer', {}],
      ['/v2/models/iris/infer', { 'seldon-model': 'iris.model' }],
    ] as const) {
      const response = await post(path, headers)
      expect(response.status, `${path} ${JSON.stringify(headers)}`).toBe(200)
      expect(await response.json()).toMatchObject({ model_name: 'iris_1', outputs: expect.any(Array) as unknown })
      expect(response.headers.get('x-seldon-route')).toBe(':iris_1:')
    }
    const missing = await post('/v2/models/iris/infer', { 'seldon-model': 'other' })
    expect(missing.status).toBe(404)
  })

  test('gRPC by header, and with no header at all by the name in the message', async () => {
    for (const headers of [{ 'seldon-model': 'iris' }, {}]) {
      const answer = await inferGrpc('iris', headers)
      expect(answer.error, JSON.stringify(headers)).toBeUndefined()
      expect(answer.modelName).toBe('iris_1')
    }
    expect((await inferGrpc('whatever', { 'seldon-model': 'iris' })).modelName).toBe('iris_1')
  })

  test('an unknown model is 404 with JSON naming it, and a gRPC status with a message naming it', async () => {
    const rest = await post('/v2/models/no-such-model/infer')
    expect(rest.status).toBe(404)
    expect(rest.headers.get('content-type')).toContain('application/json')
    expect(JSON.stringify(await rest.json())).toContain('no-such-model')
    const grpc = await inferGrpc('no-such-model')
    expect([5, 12]).toContain(grpc.error?.code)
    expect(grpc.error?.details).toContain('no-such-model')
  })

  test('a wrong tensor is the server’s own 400 or INVALID_ARGUMENT, naming the tensor', async () => {
    const rest = await post('/v2/models/iris/infer', {}, { inputs: [{ ...inputs[0], shape: [1, 5] }] })
    expect(rest.status).toBe(400)
    expect(JSON.stringify(await rest.json())).toContain('predict')
    const grpc = await inferGrpc('iris', {}, [1, 5])
    expect(grpc.error?.code).toBe(3)
    expect(grpc.error?.details).toContain('predict')
  })

  test('metadata and readiness answer; server-level calls answer for the mesh', async () => {
    for (const [path, status] of [
      ['/v2/models/iris', 200],
      ['/v2/models/iris/ready', 200],
      ['/v2/models/none/ready', 404],
      ['/v2', 200],
      ['/v2/health/live', 200],
      ['/v2/health/ready', 200],
      ['/ready', 200],
    ] as const)
      expect((await fetch(`http://${mesh.ingress}${path}`)).status, path).toBe(status)
    const ready = await new Promise((resolve, reject) => {
      client.serverReady({}, (error, response) => {
        if (error) reject(error)
        else resolve(response?.ready)
      })
    })
    expect(ready).toBe(true)
  })

  test('nothing but inference, metadata, readiness and streaming passes Envoy', async () => {
    const paths = [
      '/v2/repository/index',
      '/v2/repository/models/iris/unload',
      '/v2/models/iris/load',
      '/v2/models/iris/unload',
      '/v2/models/iris/../../repository/models/iris_1/unload',
      '/v2//repository/models/iris_1/unload',
      '/v2/models/iris%2f..%2f..%2frepository%2findex/infer',
      '/',
      '/metrics',
    ]
    for (const path of paths)
      for (const headers of [{}, { 'seldon-model': 'iris' }])
        expect((await post(path, headers as Record<string, string>)).status, path).toBe(404)
    const metadata = new Metadata()
    metadata.set('seldon-model', 'iris')
    const code = await new Promise((resolve) => {
      client.repositoryModelUnload({ modelName: 'iris_1' }, metadata, (error) => {
        resolve(error?.code)
      })
    })
    expect(code).toBe(12)
    expect((await post('/v2/models/iris/infer')).status).toBe(200)
  })

  test('internal headers of a client are stripped: they cannot choose a version or a route', async () => {
    const spoofed = {
      'seldon-internal-model': 'iris_99',
      'x-millrace-target': 'other?0',
      'x-millrace-mirror': 'other',
    }
    const rest = await post('/v2/models/iris/infer', spoofed)
    expect(rest.status).toBe(200)
    expect(await rest.json()).toMatchObject({ model_name: 'iris_1' })
    expect((await inferGrpc('iris', spoofed)).modelName).toBe('iris_1')
  })

  test('x-request-id is made when absent, kept when given, and returned', async () => {
    expect((await post('/v2/models/iris/infer', { 'x-request-id': 'my-own-id' })).headers.get('x-request-id')).toBe(
      'my-own-id',
    )
    expect((await post('/v2/models/iris/infer')).headers.get('x-request-id')).toMatch(/\S+/)
    expect((await post('/v2/models/no-such/infer')).headers.get('x-request-id')).toMatch(/\S+/)
  })

  test('a body beyond 100 MB is 413, and Envoy answers on', async () => {
    const status = await new Promise<string>((resolve, reject) => {
      const [host = '', port = ''] = mesh.ingress.split(':')
      const socket = connect(Number(port), host, () => {
        const length = 101 * 1024 * 1024
        socket.write(
          `POST /v2/models/iris/infer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${String(length)}\r\n\r\n`,
        )
      })
      socket.setTimeout(10_000, () => {
        socket.destroy(new Error('no answer within 10 s'))
      })
      socket.once('data', (chunk) => {
        resolve(chunk.toString('latin1').slice(0, 12))
        socket.destroy()
      })
      socket.once('error', reject)
    })
    expect(status).toBe('HTTP/1.1 413')
    expect((await post('/v2/models/iris/infer')).status).toBe(200)
  })

  test('50 REST and 100 gRPC calls give exactly those counts, under the names that users know', async () => {
    await applyAvailable(mesh.admin, 'counted')
    for (let i = 0; i < 50; i += 1) expect((await post('/v2/models/counted/infer')).status).toBe(200)
    for (let i = 0; i < 100; i += 1)
      expect((await inferGrpc('counted', { 'seldon-model': 'counted' })).error).toBeUndefined()
    // As Prometheus sees it: everybody is asked, and nothing is counted twice.
    const ports = [...mesh.ports.envoys.map(({ metrics }) => metrics), ...mesh.ports.replicas.map((r) => r.agentHttp)]
    const scrape = async (): Promise<string> => {
      const texts = ports.map(async (port) => (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text())
      return (await Promise.all(texts)).join('\n')
    }
    const sum = (text: string, method: string, code: string): number =>
      text
        .split('\n')
        .filter((line) => line.startsWith('seldon_model_infer_total{'))
        .filter((line) =>
          [`model="counted"`, `model_internal="counted_1"`, `method_type="${method}"`, `code="${code}"`].every(
            (label) => line.includes(label),
          ),
        )
        .reduce((total, line) => total + Number(line.split(' ').at(-1)), 0)
    await until('the counts', async () => {
      const text = await scrape()
      return sum(text, 'rest', '200') >= 50 && sum(text, 'grpc', 'OK') >= 100
    })
    const text = await scrape()
    expect([sum(text, 'rest', '200'), sum(text, 'grpc', 'OK')]).toEqual([50, 100])
    expect(text).toMatch(/seldon_model_infer_total\{[^}]*server="embedded"[^}]*server_replica="[01]"/)
    expect(text).toContain('seldon_model_infer_api_seconds_bucket')
  })

  test('nothing listens beyond 127.0.0.1', () => {
    const ports = new Set(portUses(mesh.ports).map(({ port }) => port))
    const ours = readListeners().filter(({ port }) => ports.has(port))
    expect(ours.length).toBeGreaterThanOrEqual(10)
    expect(ours.filter(({ isLoopback }) => !isLoopback)).toEqual([])
  })
})

test('a 60 s inference is not cut off', async () => {
  const { answers, tookMs } = await slowInference.ended
  expect(answers).toMatchObject([{ ok: true }, { ok: true }])
  expect(tookMs).toBeGreaterThanOrEqual(SLOW_MS)
})

/** By REST and gRPC, in a mesh of its own, beside the tests of the others. */
async function startSlowInference() {
  const slow = await startMesh({ modelServer: 'test', replicas: 1 })
  const storageUri = writeTestArtifact(slow.folder, 'slow', { kind: 'sleep', ms: SLOW_MS })
  await applyAvailable(slow.admin, 'slow', { storageUri, replicas: 1 })
  const startedMs = performance.now()
  const rest = createRestSender(slow.ingress)
  const grpc = createGrpcSender(slow.ingress)
  const ended = Promise.all([rest.send('slow', SLOW_MS * 1.5), grpc.send('slow', SLOW_MS * 1.5)]).then((answers) => ({
    answers,
    tookMs: performance.now() - startedMs,
  }))
  return {
    ended,
    stop: async () => {
      await rest.close()
      grpc.close()
      await slow.stop()
    },
  }
}
