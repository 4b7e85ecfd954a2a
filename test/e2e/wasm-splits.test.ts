/** Splits in real Envoys with several workers, which follow IR over xDS: shares, stickiness, changes under load, mirrors. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { field, frame } from '../support/grpc-frames.ts'
import { type Ask, keepConnections, type KeptConnections, type Told } from '../support/kept-connections.ts'
import { startRecordingServer } from '../support/recording-server.ts'
import { routeOf, type SplitScene, splitOf, startSplitScene } from '../support/split-scene.ts'
import { createWaiters } from '../support/waiters.ts'

const WORKERS = 3
const CONNECTIONS = 12
/** How far a share may lie from what is expected: one run in 100,000 has such a one by chance. */
const DEVIATIONS = 5
const DEADLINE_MS = 20_000

const JSON_BODY = Buffer.from('{"inputs":[]}')
const GRPC = { 'content-type': 'application/grpc', te: 'trailers' }
const INFER = '/inference.GRPCInferenceService/ModelInfer'
const WAYS: readonly ((name: string, headers?: Readonly<Record<string, string>>) => Ask)[] = [
  (name, headers = {}) => ({ path: `/v2/models/${name}/infer`, headers, body: JSON_BODY }),
  (name, headers = {}) => ({
    path: '/v2/models/any/infer',
    headers: { 'seldon-model': name, ...headers },
    body: JSON_BODY,
  }),
  (name, headers = {}) => ({
    path: INFER,
    headers: { ...GRPC, 'seldon-model': name, ...headers },
    body: frame(field(1, 'any')),
  }),
  (name, headers = {}) => ({ path: INFER, headers: { ...GRPC, ...headers }, body: frame(field(1, name)) }),
]
const [byPath = () => ({ path: '', body: JSON_BODY })] = WAYS

/** Requests over several workers: the kernel spreads connections over them by chance. */
async function connectToAllWorkers({ port, envoy }: SplitScene): Promise<KeptConnections> {
  for (let tries = 0; tries < 20; tries++) {
    const connections = await keepConnections(port, CONNECTIONS)
    const active = await envoy.stats(`^listener\\..*_${String(port)}\\.worker_\\d+\\.downstream_cx_active$`)
    if ([...active.values()].filter((count) => count > 0).length === WORKERS) return connections
    connections.close()
  }
  throw new Error(`no ${String(CONNECTIONS)} connections reach all ${String(WORKERS)} workers`)
}

let scene: SplitScene
let connections: KeptConnections
const closing: (() => unknown)[] = []

beforeAll(async () => {
  scene = await startSplitScene(WORKERS)
  await scene.apply({ upsertRoutes: ['a', 'b', 'p.pipeline', 'q.pipeline'].map((target) => routeOf(target)) })
  connections = await connectToAllWorkers(scene)
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})
afterAll(async () => {
  connections.close()
  await scene.stop()
})

const shareOf = (told: readonly Told[], route: string): number =>
  told.filter((one) => one.route === route).length / told.length

async function expectNothingLost(): Promise<void> {
  expect(connections.lost).toBe(0)
  const reloads = await scene.envoy.stats('vm_reload')
  expect(reloads.size).toBeGreaterThan(0)
  expect([...reloads.values()].every((count) => count === 0)).toBe(true)
}

describe('a split', () => {
  it.each([
    [50, 50],
    [90, 10],
    [100, 0],
  ])(
    'shares 20,000 requests %i to %i, by REST and gRPC, named by path, header or message, over all workers',
    async (a, b) => {
      const name = `s${String(a)}.experiment`
      await scene.apply({ splits: [splitOf(name, { a, b }, { measured: true, seed: `s${String(a)}` })] })
      const asks = Array.from({ length: 20_000 }, (_, index) => WAYS[index % WAYS.length]?.(name) ?? byPath(name))
      const told = await connections.askAll(asks)
      expect(told.filter(({ status }) => status !== 200)).toEqual([])
      const expected = a / (a + b)
      for (const some of [told, ...WAYS.map((_, way) => told.filter((__, index) => index % WAYS.length === way))]) {
        const deviation = Math.sqrt((expected * (1 - expected)) / some.length)
        expect(Math.abs(shareOf(some, ':a_1:') - expected)).toBeLessThanOrEqual(DEVIATIONS * deviation)
      }
      const counts = async (): Promise<number[]> => {
        const measured = await scene.envoy.stats(`candidate_requests\\.s${String(a)}\\.`)
        return ['.a.', '.b.'].map((part) => [...measured].filter(([key]) => key.includes(part)).reduce((sum, [, value]) => sum + value, 0)) // prettier-ignore
      }
      const wanted = [':a_1:', ':b_1:'].map((route) => told.filter((one) => one.route === route).length)
      // A request is counted when it is gone, which may be after its last byte has been read here.
      await expect.poll(counts).toEqual(wanted)
      await expectNothingLost()
    },
  )

  it('of pipelines is no different, and tokens and conditions are kept to', async () => {
    const candidates = [
      { target: 'p.pipeline', weight: 1 },
      { target: 'q.pipeline', weight: 1, match: [{ header: 'x-beta', exact: 'a b' }] },
    ]
    await scene.apply({ splits: [splitOf('p.pipeline', {}, { candidates })] })
    const routes = async (headers: Readonly<Record<string, string>>) => {
      const asks = Array.from({ length: 40 }, (_, index) => WAYS[index % WAYS.length]?.('p.pipeline', headers))
      const told = await connections.askAll(asks.flatMap((ask) => ask ?? []))
      return [...new Set(told.map(({ route }) => route))].toSorted()
    }
    expect(await routes({})).toEqual([':p.pipeline:', ':q.pipeline:'])
    expect(await routes({ 'x-beta': 'a b' })).toEqual([':q.pipeline:'])
    expect(await routes({ 'x-seldon-route': ':x_1: :p.pipeline:' })).toEqual([':p.pipeline:'])
    expect(await routes({ 'x-seldon-route': ':gone.pipeline:' })).toHaveLength(2)
  })

  it('changes while it is used: no request fails, no connection is lost, and none sees the old table after the new one', async () => {
    let wanted = ':a_1:'
    let stopped = false
    const failed: string[] = []
    const waiters = createWaiters()
    const sawLast = Array.from({ length: CONNECTIONS }, () => '')
    await scene.apply({ splits: [splitOf('e.experiment', { a: 1, b: 0 })] })
    const runners = sawLast.map(async (_, connection) => {
      for (let turn = 0; !stopped; turn++) {
        const told = await connections.ask(connection, WAYS[turn % WAYS.length]?.('e.experiment') ?? byPath('e'))
        if (told.status !== 200) failed.push(String(told.status))
        if (sawLast[connection] === wanted && told.route !== wanted && !stopped) failed.push(`back to ${told.route}`)
        sawLast[connection] = told.route
        waiters.look()
      }
    })
    for (let round = 0; round < 20; round++) {
      const weights = round % 2 === 0 ? { a: 0, b: 1 } : { a: 1, b: 0 }
      wanted = round % 2 === 0 ? ':b_1:' : ':a_1:'
      await scene.apply({ splits: [splitOf('e.experiment', weights)] })
      await waiters.until('the new table everywhere', () => sawLast.every((route) => route === wanted))
      const told = await connections.askAll(Array.from({ length: 100 }, () => byPath('e.experiment')))
      failed.push(...told.filter(({ route }) => route !== wanted).map(({ route }) => `old ${route}`))
    }
    stopped = true
    await Promise.all(runners)
    expect(failed).toEqual([])
    await expectNothingLost()
  })
})

describe('sticky users', () => {
  const users = Array.from({ length: 1_000 }, (_, index) => `user-${String(index)}`)
  const sticky = (weights: Readonly<Record<string, number>>) => [
    splitOf('e.experiment', weights, { stickyHeader: 'x-user-id' }),
  ]
  const routesOf = async (to: KeptConnections): Promise<string[]> =>
    (
      await to.askAll(
        users.map((user, index) => WAYS[index % WAYS.length]?.('e.experiment', { 'x-user-id': user }) ?? byPath('')),
      )
    ).map(({ route }) => route)

  it('stay when 10 % become 20 %, but for those of the new share; and two Envoys say the same of each', async () => {
    const second = await startSplitScene(1)
    closing.push(second.stop)
    await second.apply({ upsertRoutes: [routeOf('a'), routeOf('b')], splits: sticky({ b: 20, a: 80 }) })
    const others = await keepConnections(second.port, 2)
    closing.push(others.close)
    await scene.apply({ splits: sticky({ a: 90, b: 10 }) })
    const before = await routesOf(connections)
    expect(await routesOf(connections)).toEqual(before)
    await scene.apply({ splits: sticky({ a: 80, b: 20 }) })
    const after = await routesOf(connections)
    const moved = users.filter((_, index) => before[index] !== after[index])
    const onB = (routes: readonly string[]) => routes.filter((route) => route === ':b_1:').length
    expect(moved.length).toBe(onB(after) - onB(before)) // nobody left b, so all that moved went there
    for (const [routes, share] of [
      [before, 0.1],
      [after, 0.2],
    ] as const)
      expect(Math.abs(onB(routes) / 1_000 - share)).toBeLessThanOrEqual(4 * Math.sqrt((share * (1 - share)) / 1_000))
    expect(await routesOf(others)).toEqual(after)
  })
})

describe('a mirror', () => {
  const COUNT = 400
  /** So few may be under way at once by gRPC. */
  const FEW = 200
  /** REST copies beyond 512 that wait at once are dropped. */
  const MORE_THAN_WAIT = 1_000

  /** A REST server of the mirror, of which only what it was asked by is known. */
  async function startMirror(answer: (respond: (status: number) => void) => void) {
    const seen: string[] = []
    const server: Server = createServer((request, response) => {
      seen.push(String(request.headers['seldon-internal-model']))
      waiters.look()
      answer((status) => response.writeHead(status).end('{}'))
      request.resume()
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const waiters = createWaiters()
    const stop = () =>
      new Promise((done) => {
        server.closeAllConnections()
        server.close(done)
      })
    closing.push(() => (server.listening ? stop() : undefined))
    return { seen, waiters, stop, port: (server.address() as AddressInfo).port }
  }

  async function mirrorTo(restPort: number, percent: number, grpcPort = restPort): Promise<void> {
    const endpoints = [{ id: 'm/0', address: '127.0.0.1', restPort, grpcPort, health: 'healthy' as const }]
    await scene.apply({
      upsertEndpointSets: [{ id: 'mirrors', nameSource: 'message', endpoints }],
      upsertRoutes: [routeOf('m', 'mirrors')],
      splits: [splitOf('a', { a: 1, b: 1 }, { mirrors: [{ target: 'm', percent }] })],
    })
  }

  async function expectPrimaryUnaffected(count = COUNT): Promise<void> {
    const told = await connections.askAll(Array.from({ length: count }, () => byPath('a')))
    expect(told.filter(({ status }) => status !== 200)).toEqual([])
    expect(new Set(told.map(({ route }) => route))).toEqual(new Set([':a_1:', ':b_1:']))
    await expectNothingLost()
  }

  /** Copies that ended, by protocol and code; `rest 0`: no answer. */
  async function copies(): Promise<Record<string, number>> {
    const stats = await scene.envoy.stats('mirror_requests\\.m\\.m_1\\.')
    const counted: Record<string, number> = {}
    for (const [name, value] of stats) {
      const code = name.split('.').slice(-2).join(' ')
      counted[code] = (counted[code] ?? 0) + value
    }
    return counted
  }

  const droppedCopies = async () =>
    [...(await scene.envoy.stats('^cluster\\.mirrors@mirror/rest\\.upstream_rq_pending_overflow$')).values()][0] ?? 0

  /** Envoy tells nobody when it has counted: it is asked until it has, and not longer than the deadline. */
  async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS
    while (!(await isSo()))
      if (Date.now() > deadline)
        throw new Error(`not within ${String(DEADLINE_MS)} ms: ${what}; copies: ${JSON.stringify(await copies())}`)
  }

  const untilCopies = (code: string, count: number) =>
    until(`${String(count)} of ${code}`, async () => ((await copies())[code] ?? 0) >= count)

  it('gets its share under its own name, renamed; direct requests are not copied, wrong answers only counted', async () => {
    const mirror = await startMirror((respond) => {
      respond(500)
    })
    await mirrorTo(mirror.port, 100)
    await expectPrimaryUnaffected()
    await mirror.waiters.until('the copies', () => mirror.seen.length === COUNT)
    expect(new Set(mirror.seen)).toEqual(new Set(['m_1']))
    await untilCopies('rest 500', COUNT)
    await connections.askAll(Array.from({ length: COUNT }, () => byPath('b')))
    await mirrorTo(mirror.port, 12.5)
    await expectPrimaryUnaffected(2_000)
    await untilCopies('rest 500', COUNT + 1)
    await scene.apply({ splits: [] })
    await connections.askAll(Array.from({ length: COUNT }, () => byPath('a')))
    const some = mirror.seen.length - COUNT
    expect(Math.abs(some - 250)).toBeLessThanOrEqual(DEVIATIONS * Math.sqrt(2_000 * 0.125 * 0.875))
  })

  it('gets gRPC calls as well, under its own name in header and message', async () => {
    const recorder = await startRecordingServer()
    closing.push(recorder.stop)
    await mirrorTo(recorder.restPort, 100, recorder.grpcPort)
    const call: Ask = { path: INFER, headers: { ...GRPC, 'seldon-model': 'a' }, body: frame(field(1, 'a')) }
    const told = await connections.askAll(Array.from({ length: FEW }, () => call))
    expect(told.filter(({ status }) => status !== 200)).toEqual([])
    await untilCopies('grpc 0', FEW)
    expect(recorder.requests).toHaveLength(FEW)
    const [copy] = recorder.requests
    expect(copy?.headers['seldon-internal-model']).toBe('m_1')
    expect(Buffer.from(copy?.body ?? []).toString('latin1')).toContain('m_1')
  })

  it('that is down or never answers leaves the primary as it is, and the metric says so', async () => {
    const before = (await copies())['rest 0'] ?? 0
    const mirror = await startMirror(() => undefined)
    await mirrorTo(mirror.port, 100)
    await expectPrimaryUnaffected(MORE_THAN_WAIT)
    await mirror.waiters.until('copies that wait', () => mirror.seen.length > 0)
    const dropped = await droppedCopies()
    expect(dropped).toBeGreaterThan(0)
    await mirror.stop()
    await untilCopies('rest 0', before + MORE_THAN_WAIT - dropped)
    await expectPrimaryUnaffected(COUNT)
    await untilCopies('rest 0', before + MORE_THAN_WAIT - dropped + COUNT - ((await droppedCopies()) - dropped))
    await scene.apply({ splits: [], removeTargets: ['m'], removeEndpointSetIds: ['mirrors'] })
    await until('no cluster is left', async () => (await scene.envoy.stats('^cluster\\.mirrors')).size === 0)
  })
})
