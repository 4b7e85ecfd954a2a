/** The xDS server and a real Envoy with our filters, in front of an upstream that answers with what it received. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toEnvoyArguments } from '../../envoy/arguments.ts'
import { toBootstrap } from '../../envoy/bootstrap.ts'
import { packageRoot } from '../../kit/root.ts'
import { buildIfStale } from '../../scripts/build.mjs'
import type { EndpointSetIr } from '../../xds/index.ts'
import { freePorts } from '../support/free-ports.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { change, endpointSet, route, SHARDS, startXds, type XdsScene } from '../support/xds-scene.ts'

const MAX_REQUEST_BYTES = 1_000
const MODELS = 100

const http = new Agent()
let folder: string
let envoy: ChildProcess | undefined
let upstream: Server
let scene: XdsScene
let ingress: string
let xdsPort: number
let revision = 1

const nextRevision = (): number => (revision += 1)
const set = (id: string): EndpointSetIr => {
  const { port } = upstream.address() as AddressInfo
  return endpointSet(id, {
    endpoints: [{ id: `${id}/0`, address: '127.0.0.1', restPort: port, grpcPort: port, health: 'healthy' }],
  })
}
const start = () =>
  startXds(
    {
      port: Number(ingress.split(':')[1]),
      router: { shards: SHARDS, maxModels: 2_000, maxRequestBytes: MAX_REQUEST_BYTES },
      wasmFolder: join(packageRoot, 'wasm-filter/build'),
    },
    xdsPort,
  )
const models = (count: number) => Array.from({ length: count }, (_, i) => route(`model-${String(i)}`, 's0'))

beforeAll(async () => {
  await buildIfStale(['wasm'])
  folder = mkdtempSync(join(tmpdir(), 'millrace-xds-'))
  upstream = createServer((message, answer) => {
    message.resume()
    if (message.headers['seldon-internal-model'] === 'stuck_1') return // never answers
    answer.end(JSON.stringify({ path: message.url, headers: message.headers }))
  })
  await new Promise<void>((listening) => upstream.listen(0, '127.0.0.1', listening))
  const [ingressPort = 0, adminPort = 0, adsPort = 0] = await freePorts(3)
  ingress = `127.0.0.1:${String(ingressPort)}`
  xdsPort = adsPort
  scene = await start()
  scene.xds.load(change(revision, { upsertEndpointSets: [set('s0')], upsertRoutes: models(MODELS) }))
  const bootstrapPath = join(folder, 'bootstrap.json')
  const xds = [{ address: '127.0.0.1', port: xdsPort }]
  writeFileSync(bootstrapPath, JSON.stringify(toBootstrap({ nodeId: 'envoy-0', xds, adminPort })))
  const binary = process.env['MILLRACE_TEST_ENVOY']
  if (binary === undefined)
    throw new Error('MILLRACE_TEST_ENVOY is not set: run `npm test`, which finds or fetches Envoy')
  envoy = spawn(binary, toEnvoyArguments({ bootstrapPath, concurrency: 2, logLevel: 'error' }), { stdio: 'ignore' })
  await scene.acked('envoy-0', revision)
})

afterAll(async () => {
  const gone = new Promise((exited) => envoy?.once('exit', exited))
  if (envoy?.kill('SIGKILL')) await gone
  await http.destroy()
  await scene.stop()
  await new Promise((closed) => upstream.close(closed))
  rmSync(folder, { recursive: true })
})

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

async function infer(model: string, body = '{}', headers: Record<string, string> = {}): Promise<Answer> {
  const answer = await request(`http://${ingress}/v2/models/${model}/infer`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
    dispatcher: http,
  })
  return { status: answer.statusCode, headers: answer.headers, body: await answer.body.text() }
}

const received = (answer: Answer) =>
  JSON.parse(answer.body) as { path: string; headers: Readonly<Record<string, string | undefined>> }

describe('a real Envoy', () => {
  it('answers for a model that is added to a hundred', async () => {
    expect((await infer('fresh')).status).toBe(404)
    scene.xds.update(change(nextRevision(), { upsertRoutes: [route('fresh', 's0', 3)] }))
    await scene.acked('envoy-0', revision)
    const answer = await infer('fresh')
    expect(answer.status).toBe(200)
    expect(answer.headers['x-seldon-route']).toBe(':fresh_3:')
    expect(received(answer).headers['seldon-internal-model']).toBe('fresh_3')
  })

  it('reaches a set of servers that came with the same change as the route to it', async () => {
    scene.xds.update(change(nextRevision(), { upsertEndpointSets: [set('s1')], upsertRoutes: [route('moved', 's1')] }))
    await scene.acked('envoy-0', revision)
    expect((await infer('moved')).status).toBe(200)
  })

  it('shares the traffic of a rollout by weight', async () => {
    const [to] = route('rolling', 's0', 1).destinations
    const [from] = route('rolling', 's0', 2).destinations
    if (!to || !from) throw new Error('a route has a destination')
    const destinations = [
      { ...to, weight: 0 },
      { ...from, weight: 100 },
    ]
    scene.xds.update(change(nextRevision(), { upsertRoutes: [{ target: 'rolling', destinations, timeoutMs: 0 }] }))
    await scene.acked('envoy-0', revision)
    const answers = await Promise.all(Array.from({ length: 10 }, () => infer('rolling')))
    expect(new Set(answers.map(({ headers }) => headers['x-seldon-route']))).toEqual(new Set([':rolling_2:']))
  })

  it('cuts a model off after its own timeout, and its neighbours on the same server do not notice', async () => {
    scene.xds.update(change(nextRevision(), { upsertRoutes: [{ ...route('stuck', 's0'), timeoutMs: 100 }] }))
    await scene.acked('envoy-0', revision)
    const stuck = await Promise.all([infer('stuck'), infer('stuck'), infer('stuck')])
    expect(stuck.map(({ status }) => status)).toEqual([504, 504, 504])
    const neighbours = await Promise.all(Array.from({ length: 10 }, () => infer('model-1')))
    expect(new Set(neighbours.map(({ status }) => status))).toEqual(new Set([200]))
  })

  it('keeps our own headers from the server', async () => {
    const { headers } = received(await infer('model-1'))
    expect(Object.keys(headers).filter((name) => name.startsWith('x-millrace'))).toEqual([])
  })

  it('returns the request id that came, byte for byte, and makes one where none came', async () => {
    const given = await infer('model-1', '{}', { 'x-request-id': 'order 7/a' })
    expect(given.headers['x-request-id']).toBe('order 7/a')
    expect(received(given).headers['x-request-id']).toBe('order 7/a')
    expect((await infer('model-1')).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('answers 413 by the announced length, and says the limit', async () => {
    const answer = await infer('model-1', 'x'.repeat(MAX_REQUEST_BYTES + 1))
    expect(answer.status).toBe(413)
    expect(JSON.parse(answer.body)).toEqual({ error: 'the request body is larger than the limit of 1000 bytes' })
    expect((await infer('model-1', 'x'.repeat(MAX_REQUEST_BYTES))).status).toBe(200)
  })

  it('names an unknown model in JSON', async () => {
    const answer = await infer('unknown')
    expect(answer.status).toBe(404)
    expect(JSON.parse(answer.body)).toEqual({
      error: 'model "unknown" is not available: no such model, or it is not loaded',
    })
  })

  it('names an unknown model in a gRPC status', async () => {
    const client = new Client(ingress, credentials.createInsecure())
    const empty = (): Buffer => Buffer.alloc(0)
    const name = Buffer.from('\n\u0007unknown')
    const call = grpcCall((done) =>
      client.makeUnaryRequest('/inference.GRPCInferenceService/ModelInfer', () => name, empty, {}, done),
    )
    const failure = await call.then(
      () => undefined,
      (error: ServiceError) => error,
    )
    client.close()
    expect([failure?.code, failure?.details]).toEqual([
      12,
      'model "unknown" is not available: no such model, or it is not loaded',
    ])
  })

  it('refuses a route that it cannot read; the culprit is named and its neighbours are served', async () => {
    const good = models(MODELS).map(({ target }) => route(target, 's0', 2))
    const [destination] = route('odd', 's0').destinations
    if (!destination) throw new Error('a route has a destination')
    const odd = { target: 'odd', destinations: [{ ...destination, routeToken: '%NO_SUCH_COMMAND%' }], timeoutMs: 0 }
    scene.xds.update(change(nextRevision(), { upsertRoutes: [...good, odd] }))
    await scene.acked('envoy-0', revision)
    expect(scene.refusals.map(({ kind, key }) => ({ kind, key }))).toEqual([{ kind: 'route', key: 'odd' }])
    expect(scene.refusals[0]?.reason).toContain('NO_SUCH_COMMAND')
    const answers = await Promise.all(good.map(({ target }) => infer(target)))
    expect(answers.map(({ headers }) => headers['x-seldon-route'])).toEqual(good.map(({ target }) => `:${target}_2:`))
    expect((await infer('odd')).status).toBe(404)
    scene.xds.update(change(nextRevision(), { removeTargets: ['odd'] }))
    await scene.acked('envoy-0', revision)
  })

  it('is served on while the scheduler is gone, and takes the next change after its restart', async () => {
    await scene.stop()
    expect((await infer('model-1')).status).toBe(200)
    scene = await start()
    const all = [...models(MODELS), route('moved', 's1'), route('fresh', 's0', 4)]
    scene.xds.load(change(1_000, { upsertEndpointSets: [set('s0'), set('s1')], upsertRoutes: all }))
    await scene.acked('envoy-0', 1_000)
    expect((await infer('fresh')).headers['x-seldon-route']).toBe(':fresh_4:')
  })
})
