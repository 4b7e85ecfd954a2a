/** The metrics beside a real Envoy that the real xDS server configures, in front of a model server that counts along. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server as HttpServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials, Server as GrpcServer, type ServiceError } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GRPCInferenceService } from '../../api/grpc.ts'
import { toBootstrap } from '../../envoy/bootstrap.ts'
import { serveGrpc } from '../../kit/grpc.ts'
import { listen } from '../../kit/http.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { silentLogger } from '../../kit/log.ts'
import { packageRoot } from '../../kit/root.ts'
import { startMeshMetrics } from '../../mesh/server.ts'
import { buildIfStale } from '../../scripts/build.mjs'
import { createXdsServer } from '../../xds/index.ts'
import { freePorts } from '../support/free-ports.ts'
import { createWaiters } from '../support/waiters.ts'

const HOST = '127.0.0.1'
const stops: (() => unknown)[] = []
const waiters = createWaiters()
const xds = { ackedRevision: -1 }
let envoy: ChildProcess | undefined
let metricsPort = 0
let ingressPort = 0
let answerStatus = 200

beforeAll(async () => {
  await buildIfStale(['wasm'])
  const [adminPort, listenPort] = (await freePorts(2)) as [number, number]
  ingressPort = listenPort
  const metrics = await startMeshMetrics(
    {
      host: HOST,
      httpPort: 0,
      adminUrl: `http://${HOST}:${String(adminPort)}`,
      measureIntervalMs: 1_000,
      scrapeDeadlineMs: 5_000,
      maxAnswerBytes: 64 * 1024 * 1024,
      logLevel: 'error',
    },
    silentLogger,
  )
  metricsPort = metrics.port
  const rest = await startRest()
  const grpc = await startGrpc()
  const xdsServer = createXdsServer({
    log: silentLogger,
    events: {
      onNodes: (nodes) => {
        xds.ackedRevision = nodes[0]?.ackedRevision ?? -1
        waiters.look()
      },
      onRefusal: (refusal) => {
        throw new Error(refusal.reason)
      },
    },
    listener: {
      host: HOST,
      port: listenPort,
      wasmFolder: join(packageRoot, 'wasm-filter/build'),
      router: { shards: 256, maxModels: 2_000, maxRequestBytes: 1_000_000 },
    },
  })
  const ads = await xdsServer.listen(HOST, 0)
  const folder = await mkdtemp(join(tmpdir(), 'millrace-mesh-'))
  stops.push(
    () => metrics.stop(),
    () => ads.stop(),
    () => rm(folder, { recursive: true, force: true }),
  )
  xdsServer.load({
    revision: 1,
    upsertEndpointSets: [
      {
        id: 'set',
        nameSource: 'header',
        endpoints: [{ id: 'embedded/0', address: HOST, restPort: rest, grpcPort: grpc, health: 'healthy' }],
      },
    ],
    upsertRoutes: [
      {
        target: 'iris',
        timeoutMs: 0,
        destinations: [{ endpointSetId: 'set', internalName: 'iris_3', routeToken: ':iris_3:', weight: 100 }],
      },
    ],
    removeTargets: [],
    removeEndpointSetIds: [],
  })
  const bootstrap = join(folder, 'envoy.json')
  const xdsAddress = { address: HOST, port: ads.port }
  await writeFile(bootstrap, JSON.stringify(toBootstrap({ nodeId: 'test', xds: [xdsAddress], adminPort })))
  const binary = process.env['MILLRACE_TEST_ENVOY']
  if (binary === undefined) throw new Error('MILLRACE_TEST_ENVOY is unset; test/support/tools-setup.ts sets it')
  envoy = spawn(binary, ['-c', bootstrap, '--concurrency', '2', '--disable-hot-restart', '-l', 'error'], {
    stdio: 'ignore',
  })
  stops.push(() => envoy?.kill('SIGKILL'))
  await waiters.until("Envoy's ACK", () => xds.ackedRevision === 1, 30_000)
})
afterAll(async () => {
  for (const stop of stops.toReversed()) await stop()
})

async function startRest(): Promise<number> {
  const server: HttpServer = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(answerStatus, { 'content-type': 'application/json' }).end('{}')
    })
  })
  stops.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return await listen(server, HOST, 0)
}

async function startGrpc(): Promise<number> {
  const server = new GrpcServer()
  server.addService(GRPCInferenceService.service, {
    ModelInfer: (_call: unknown, reply: (error: null, answer: object) => void) => {
      reply(null, { modelName: 'iris_3' })
    },
  })
  const running: Running & { port: number } = await serveGrpc(server, HOST, 0)
  stops.push(() => {
    server.forceShutdown()
  })
  return running.port
}

const get = async (path: string): Promise<{ status: number; body: string }> => {
  const response = await fetch(`http://${HOST}:${String(metricsPort)}${path}`)
  return { status: response.status, body: await response.text() }
}

/** Envoy merges its histograms every 5 s: reads on until the line is there. */
async function untilScraped(line: string): Promise<string> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const { body } = await get('/metrics')
    if (body.split('\n').includes(line)) return body
    if (performance.now() > deadline) throw new Error(`no line ${line} in:\n${body}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

const inferRest = async (): Promise<void> => {
  const url = `http://${HOST}:${String(ingressPort)}/v2/models/iris/infer`
  const response = await fetch(url, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } })
  await response.text()
  expect(response.status).toBe(answerStatus)
}

describe('the metrics beside Envoy', () => {
  it('are ready once Envoy has its routes', async () => {
    expect(await get('/ready')).toEqual({ status: 200, body: '{"ready":true,"reason":""}' })
    expect(await get('/healthz')).toMatchObject({ status: 200 })
  })

  it('count exactly 50 REST and 100 gRPC calls, and those that failed apart', async () => {
    for (let call = 0; call < 50; call += 1) await inferRest()
    answerStatus = 500
    await inferRest()
    const client = new GRPCInferenceService(`${HOST}:${String(ingressPort)}`, credentials.createInsecure())
    for (let call = 0; call < 100; call += 1)
      await new Promise<void>((resolve, reject) => {
        client.ModelInfer({ modelName: 'iris' }, (error: ServiceError | null) => {
          if (error) reject(error)
          else resolve()
        })
      })
    client.close()
    const replica = 'server="embedded",server_replica="0"'
    const model = `${replica},model="iris",model_internal="iris_3"`
    const body = await untilScraped(`seldon_model_infer_api_seconds_count{${replica},method="grpc",code="OK"} 100`)
    const lines = body.split('\n')
    expect(lines).toContain(`seldon_model_infer_total{${model},method_type="rest",code="200"} 50`)
    expect(lines).toContain(`seldon_model_infer_total{${model},method_type="rest",code="500"} 1`)
    expect(lines).toContain(`seldon_model_infer_total{${model},method_type="grpc",code="OK"} 100`)
    expect(lines).toContain(`seldon_model_aggregate_infer_total{${replica},method_type="rest"} 51`)
    expect(lines).toContain(`seldon_model_aggregate_infer_total{${replica},method_type="grpc"} 100`)
    expect(lines).toContain(`seldon_model_infer_api_seconds_count{${replica},method="rest",code="200"} 50`)
    expect(lines).toContain('millrace_mesh_unreadable_series 0')
    expect(lines).toContain('millrace_wasm_vm_reloads_total{plugin="router",outcome="begun"} 0')

    const valueOf = (start: string): number =>
      Number(
        lines
          .find((line) => line.startsWith(start))
          ?.split(' ')
          .at(-1),
      )
    const exact = valueOf(`seldon_model_aggregate_infer_seconds_total{${replica},method_type="grpc"`)
    const estimated = valueOf(`seldon_model_infer_api_seconds_sum{${replica},method="grpc"`)
    expect(exact).toBeGreaterThan(0)
    expect(Math.abs(estimated - exact) / exact).toBeLessThan(0.06)
  })

  it('say 503 and why while Envoy is away', async () => {
    envoy?.kill('SIGKILL')
    await new Promise((resolve) => envoy?.once('exit', resolve))
    for (const path of ['/metrics', '/ready']) {
      const { status, body } = await get(path)
      expect(status).toBe(503)
      expect(JSON.parse(body)).toMatchObject({
        code: 'ENVOY_UNAVAILABLE',
        error: expect.stringMatching(
          /^Envoy's admin port at http:\/\/127\.0\.0\.1:\d+: connect ECONNREFUSED/,
        ) as unknown,
      })
    }
    expect((await get('/healthz')).status).toBe(200)
  })
})
