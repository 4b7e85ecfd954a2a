/** The administration API over REST, against a whole scheduler on a real Redis. */
import { once } from 'node:events'
import { hostname } from 'node:os'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRestClient, type EventSource, type RestClient } from '../support/rest.ts'
import { connectFakeEnvoy } from '../support/fake-envoy.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource, aServerResource, type SchedulerRig } from '../support/scheduler-rig.ts'

const scenes = useLiveScenes()
let scene: LiveScene
let rest: RestClient
const watches: EventSource[] = []

beforeEach(async () => {
  scene = await scenes.start()
  rest = clientOf(scene.rig.ports.http)
})
afterEach(async () => {
  for (const watch of watches.splice(0)) watch.close()
})

const clientOf = (port: number): RestClient => createRestClient(`http://127.0.0.1:${String(port)}`)

async function watch(path: string, headers: Record<string, string> = {}, client = rest): Promise<EventSource> {
  const source = await client.events(path, headers)
  watches.push(source)
  return source
}

const nameOf = (data: unknown): string => (data as { metadata: { name: string } }).metadata.name
const put = (name: string, spec: object = {}, query = '', headers: Record<string, string> = {}) =>
  rest.call('PUT', `/v1/models/${name}${query}`, aModelResource(name, spec), headers)

describe('models', () => {
  it('are created, changed, read, rolled back and deleted', async () => {
    const created = await put('iris')
    expect(created).toMatchObject({
      status: 201,
      body: { outcome: 'CREATED', resource: { metadata: { generation: 1 } } },
    })
    expect(created.headers.get('etag')).toBe('"1"')
    expect(await put('iris')).toMatchObject({ status: 200, body: { outcome: 'UNCHANGED' } })
    expect(await put('iris', { storageUri: '/models/other' })).toMatchObject({
      status: 200,
      body: { outcome: 'CHANGED', resource: { metadata: { generation: 2 }, status: { version: 2 } } },
    })
    expect(await rest.call('POST', '/v1/models/iris/rollback', {})).toMatchObject({
      status: 200,
      body: { fromVersion: 2, restoredVersion: 1, newVersion: 3 },
    })
    expect(await rest.call('POST', '/v1/models/iris/rollback', { version: 9 })).toMatchObject({
      status: 404,
      body: { code: 'VERSION_NOT_FOUND' },
    })
    const read = await rest.call('GET', '/v1/models/iris')
    const { resource } = await scene.rig.admin.get('Model', 'iris')
    expect(read).toMatchObject({ status: 200, body: { resource: { status: { version: 3 } } } })
    expect((read.body as { resource: unknown }).resource).toEqual(resource) // as the gRPC API tells it
    expect(await rest.call('DELETE', '/v1/models/iris')).toMatchObject({
      status: 202,
      body: { kind: 'Model', name: 'iris' },
    })
    await scene.rig.untilGone('iris')
    expect(await rest.call('GET', '/v1/models/iris')).toMatchObject({
      status: 404,
      body: { code: 'MODEL_NOT_FOUND', retryable: false },
    })
  })

  it('tell their events', async () => {
    scene.agent()
    scene.envoy()
    await put('iris')
    await scene.rig.untilModel('iris', ({ state }) => state === 'ModelAvailable')
    const { body } = await rest.call('GET', '/v1/models/iris')
    expect((body as { events: object[] }).events.length).toBeGreaterThan(0)
  })

  it('are changed only at the generation that is expected', async () => {
    await put('iris')
    const stale = { storageUri: '/models/other' }
    expect(await put('iris', stale, '?expectedGeneration=2')).toMatchObject({
      status: 409,
      body: { code: 'VERSION_CONFLICT', retryable: true },
    })
    expect(await put('iris', stale, '', { 'if-match': '"7"' })).toMatchObject({ status: 409 })
    expect(await put('iris', stale, '', { 'if-match': 'newest' })).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID', issues: [{ path: 'If-Match' }] },
    })
    expect(await put('iris', stale, '', { 'if-match': '"1"' })).toMatchObject({ status: 200 })
  })

  it('are only looked at in a dry run', async () => {
    expect(await put('iris', { memory: '1Gi' }, '?dryRun=true')).toMatchObject({
      status: 200,
      body: { outcome: 'CREATED', resource: { spec: { memory: 1024 ** 3 } } },
    })
    expect(await rest.call('GET', '/v1/models/iris')).toMatchObject({ status: 404 })
  })

  it('are told every problem at once, each by its path', async () => {
    const { status, body } = await put('iris', { storageUri: 7, replicas: -1, colour: 'red' })
    expect(status).toBe(400)
    expect(body).toMatchObject({ code: 'MANIFEST_INVALID', help: expect.any(String) as string })
    const paths = (body as { issues: { path: string }[] }).issues.map(({ path }) => path)
    expect(new Set(paths)).toEqual(new Set(['spec.colour', 'spec.replicas', 'spec.storageUri']))
  })

  it('are what the path says', async () => {
    expect(await rest.call('PUT', '/v1/models/iris', aServerResource('tulip'))).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID', issues: [{ path: 'kind' }, { path: 'metadata.name' }] },
    })
  })
})

describe('lists', () => {
  it('come in pages and by label', async () => {
    for (const [name, team] of [
      ['a', 'red'],
      ['b', 'blue'],
      ['c', 'red'],
      ['d', 'red'],
    ] as const) {
      const resource = aModelResource(name)
      await rest.call('PUT', `/v1/models/${name}`, { ...resource, metadata: { name, labels: { team } } })
    }
    const page = async (query: string) => {
      const { body } = await rest.call('GET', `/v1/models${query}`)
      const { items, next } = body as { items: unknown[]; next: string }
      return { names: items.map(nameOf), next }
    }
    expect(await page('')).toEqual({ names: ['a', 'b', 'c', 'd'], next: '' })
    expect(await page('?limit=3')).toEqual({ names: ['a', 'b', 'c'], next: 'c' })
    expect(await page('?limit=3&after=c')).toEqual({ names: ['d'], next: '' })
    expect(await page('?labelSelector=team%3Dred&limit=2')).toEqual({ names: ['a', 'c'], next: 'c' })
    expect(await page('?labelSelector=team!%3Dred')).toEqual({ names: ['b'], next: '' })
    expect(await page('?labelSelector=team,!absent')).toEqual({ names: ['a', 'b', 'c', 'd'], next: '' })
  })

  it('refuse what they do not understand', async () => {
    expect(await rest.call('GET', '/v1/models?labelSelector=a%3Db%3Dc,%3D')).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID', issues: [{ path: 'labelSelector' }, { path: 'labelSelector' }] },
    })
    const { status, body } = await rest.call('GET', '/v1/models?limit=many&colour=red')
    expect(status).toBe(400)
    expect((body as { issues: unknown[] }).issues.length).toBeGreaterThanOrEqual(2)
  })
})

describe('servers', () => {
  it('are applied, listed and deleted', async () => {
    const server = aServerResource('sklearn', { replicas: 2 })
    expect(await rest.call('PUT', '/v1/servers/sklearn', server)).toMatchObject({
      status: 201,
      body: { resource: { status: { state: 'ServerUnavailable', replicas: 2 } } },
    })
    expect(await rest.call('GET', '/v1/servers')).toMatchObject({ body: { items: [{ kind: 'Server' }], next: '' } })
    expect(await rest.call('DELETE', '/v1/servers/sklearn')).toMatchObject({ status: 202 })
    expect(await rest.call('GET', '/v1/servers/sklearn')).toMatchObject({
      status: 404,
      body: { code: 'SERVER_NOT_FOUND' },
    })
    expect(await rest.call('POST', '/v1/servers/sklearn/rollback', {})).toMatchObject({ status: 404 })
  })
})

describe('watching', () => {
  it('tells the state of now, then changes, then that it is gone', async () => {
    await put('iris')
    const models = await watch('/v1/watch?kind=Model')
    await models.until(({ event }) => event === 'synced')
    expect(models.events.map(({ event }) => event)).toEqual(['reset', 'state', 'synced'])
    await put('tulip')
    await models.until(({ event, data }) => event === 'state' && nameOf(data) === 'tulip')
    await rest.call('DELETE', '/v1/models/iris')
    await models.until(({ event, data }) => event === 'deleted' && nameOf(data) === 'iris')
  })

  it('goes on after the last event that the client names', async () => {
    await put('iris')
    const first = await watch('/v1/watch?kind=Model')
    await first.until(({ event }) => event === 'synced')
    first.close()
    await put('tulip')
    await put('rose')
    await rest.call('DELETE', '/v1/models/rose')
    await scene.rig.untilGone('rose')
    const second = await watch('/v1/watch?kind=Model', { 'last-event-id': first.lastId() })
    await second.until(({ event }) => event === 'synced')
    const told = second.events.map(({ event, data }) => `${event} ${event === 'synced' ? '' : nameOf(data)}`)
    expect(told).toEqual(expect.arrayContaining(['state tulip', 'deleted rose']))
    expect(told).not.toContain('reset')
    expect(told).not.toContain('state rose')
    const third = await watch('/v1/watch?kind=Model', { 'last-event-id': second.lastId() })
    await third.until(({ event }) => event === 'synced')
    expect(third.events.map(({ event }) => event)).toEqual(['synced']) // nothing was missed
  })

  it('begins again with everything after a gap: another process, another store', async () => {
    await put('iris')
    const first = await watch('/v1/watch?kind=Model')
    await first.until(({ event }) => event === 'synced')
    const id = first.lastId()
    await put('tulip')
    await scene.restart()
    await first.ended // a scheduler that stops ends its watches
    rest = clientOf(scene.rig.ports.http)
    for (const known of [id, 'elsewhere/1', 'nonsense']) {
      const again = await watch('/v1/watch?kind=Model', { 'last-event-id': known })
      await again.until(({ event }) => event === 'synced')
      expect(again.events.map(({ event }) => event)).toEqual(['reset', 'state', 'state', 'synced'])
    }
  })

  it('follows one resource, or those with a label', async () => {
    await put('iris')
    const one = await watch('/v1/watch?kind=Model&name=iris')
    const red = await watch('/v1/watch?kind=Model&labelSelector=team%3Dred')
    await one.until(({ event }) => event === 'synced')
    await red.until(({ event }) => event === 'synced')
    const labelled = (labels: Record<string, string>) =>
      rest.call('PUT', '/v1/models/tulip', { ...aModelResource('tulip'), metadata: { name: 'tulip', labels } })
    await labelled({ team: 'red' })
    await red.until(({ event, data }) => event === 'state' && nameOf(data) === 'tulip')
    await labelled({ team: 'blue' })
    await red.until(({ event, data }) => event === 'deleted' && nameOf(data) === 'tulip')
    await put('iris', { storageUri: '/models/other' })
    await one.until(({ data }) => JSON.stringify(data).includes('/models/other'))
    expect(one.events.filter(({ event }) => event === 'state').map(({ data }) => nameOf(data))).not.toContain('tulip')
    expect(await rest.call('GET', '/v1/watch?kind=Model&name=absent')).toMatchObject({ status: 404 })
    expect(await rest.call('GET', '/v1/watch?kind=Flower')).toMatchObject({ status: 400 })
  })
})

describe('placement', () => {
  it('is explained for each server with the numbers, and nothing is written', async () => {
    scene.agent()
    const servers = await watch('/v1/watch?kind=Server')
    await servers.until(({ event, data }) => event === 'state' && JSON.stringify(data).includes('ServerReady'))
    const explain = (spec: object) => rest.call('POST', '/v1/placement/explain', aModelResource('iris', spec))
    expect(await explain({ memory: 10 })).toMatchObject({
      status: 200,
      body: { placed: { server: 'embedded', replicas: ['embedded/0'] }, memoryBytes: 10, servers: [{ fitting: 1 }] },
    })
    const { body } = await explain({ memory: '100Ti', requirements: ['quantum'] })
    expect(body).not.toHaveProperty('placed')
    expect(body).toMatchObject({
      reason: expect.stringContaining('at most 0 fit') as string,
      servers: [
        { fitting: 0, replicas: [{ fits: false, refusals: [{ filter: 'capabilities' }, { filter: 'memory' }] }] },
      ],
    })
    expect(JSON.stringify(body)).toContain(String(100 * 1024 ** 4))
    expect(await rest.call('GET', '/v1/models/iris')).toMatchObject({ status: 404 })
    expect(await rest.call('POST', '/v1/placement/explain', aServerResource('s'))).toMatchObject({ status: 400 })
  })
})

describe('nodes', () => {
  it('tell what each Envoy has ACKed, and what it refused and why', async () => {
    scene.agent()
    scene.envoy('good')
    scene.envoy('picky', (kind, _name, body) =>
      kind === 'RDS' && Buffer.from(body).includes('iris_1') ? 'no such filter' : undefined,
    )
    await put('iris')
    await scene.rig.untilModel('iris', ({ state }) => state === 'ModelFailed')
    const { status, body } = await rest.call('GET', '/v1/nodes')
    const { items, revision } = body as { items: { node: string; refusals: { reason: string }[] }[]; revision: number }
    expect(status).toBe(200)
    expect(items.map(({ node }) => node).toSorted()).toEqual(['good', 'picky'])
    expect(revision).toBeGreaterThan(0)
    expect(items.find(({ node }) => node === 'picky')?.refusals).toMatchObject([{ kind: 'route', key: 'iris' }])
    expect(items.find(({ node }) => node === 'good')?.refusals).toEqual([])
  })

  it('are those of every scheduler, each with the one that it is connected to', async () => {
    const follower = await scene.another(['--instance-id', 'second'])
    scene.envoy('here')
    const there = connectFakeEnvoy({ port: follower.ports.xds, node: 'there' })
    const told = async ({ ports }: SchedulerRig) => {
      const { body } = await clientOf(ports.http).call('GET', '/v1/nodes')
      return (body as { items: { node: string; scheduler: string }[] }).items
    }
    const expected = [
      { node: 'here', scheduler: hostname(), connectedSince: expect.any(String) as string, refusals: [] },
      { node: 'there', scheduler: 'second', connectedSince: expect.any(String) as string, refusals: [] },
    ]
    for (const asked of [scene.rig, follower]) await expect.poll(() => told(asked)).toMatchObject(expected)
    there.close()
  })
})

describe('watches', () => {
  it('are refused when there are as many as may be, and taken again when one has ended', async () => {
    const small = await scene.another(['--instance-id', 'small', '--max-watches', '2'])
    const client = clientOf(small.ports.http)
    const events = '/v1/watch?kind=Model'
    await put('iris')
    const first = await watch(events, {}, client)
    await first.until(({ event }) => event === 'state')
    const overGrpc = small.api.SubscribeModelStatus({ subscriberName: 'one more' })
    await once(overGrpc, 'data')
    overGrpc.on('error', () => undefined) // it is cancelled
    expect(await client.call('GET', events)).toMatchObject({ status: 429, body: { code: 'TOO_MANY_WATCHES' } })
    const refused = small.api.SubscribeServerStatus({ subscriberName: 'too many' })
    const [error] = (await once(refused, 'error')) as [{ code: number; details: string }]
    expect(error).toMatchObject({ code: 8, details: expect.stringContaining('--max-watches') as string })
    overGrpc.cancel()
    first.close()
    const again = () => watch(events, {}, client).then(({ until }) => until(({ event }) => event === 'synced'))
    await expect.poll(again).toMatchObject({ event: 'synced' })
  })
})

describe('failures', () => {
  it('are told in the words of the catalogue', async () => {
    const tooLarge = `{"a":"${'x'.repeat(9 * 1024 * 1024)}"}`
    const cases: readonly [Promise<{ status: number; body: unknown }>, number, string][] = [
      [rest.call('PUT', '/v1/models/iris', '{"kind":'), 400, 'REQUEST_INVALID'],
      [rest.call('PUT', '/v1/models/iris', tooLarge), 413, 'REQUEST_TOO_LARGE'],
      [
        rest.call('PUT', '/v1/models/iris', 'a: b', { 'content-type': 'application/yaml' }),
        415,
        'MEDIA_TYPE_UNSUPPORTED',
      ],
      [rest.call('GET', '/v1/flowers'), 404, 'NOT_FOUND'],
      [rest.call('DELETE', '/v1/models/absent'), 404, 'MODEL_NOT_FOUND'],
      [rest.call('POST', '/v1/models/absent/rollback', { version: 0 }), 400, 'REQUEST_INVALID'],
    ]
    for (const [answer, status, code] of cases) expect(await answer).toMatchObject({ status, body: { code } })
  })

  it('of Redis come within 2 s, while reads go on', async () => {
    await put('iris')
    scenes.redis().pause()
    try {
      const began = performance.now()
      expect(await put('tulip')).toMatchObject({ status: 503, body: { code: 'STORE_UNAVAILABLE', retryable: true } })
      expect(performance.now() - began).toBeLessThan(10_000) // the bound is 2 s, where nothing else runs
      expect(await rest.call('GET', '/v1/models')).toMatchObject({ status: 200, body: { items: [{ kind: 'Model' }] } })
    } finally {
      scenes.redis().resume()
    }
  })

  it('to write at a scheduler that follows name the leader', async () => {
    const follower = await scene.another(['--instance-id', 'second'])
    const { ports } = follower
    const answer = await clientOf(ports.http).call('PUT', '/v1/models/iris', aModelResource('iris'))
    expect(answer).toMatchObject({ status: 503, body: { code: 'NOT_LEADER' } })
    expect((answer.body as { message: string }).message).toContain(`127.0.0.1:${String(scene.rig.ports.http)}`)
  })
})

describe('the process', () => {
  it('tells its health and metrics, and its API as OpenAPI 3.1', async () => {
    expect(await rest.call('GET', '/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } })
    expect(await rest.call('GET', '/readyz')).toMatchObject({ status: 200, body: { status: 'ready' } })
    expect((await rest.call('GET', '/metrics')).body).toContain('# TYPE')
    const { body } = await rest.call('GET', '/docs/json')
    expect(body).toMatchObject({ openapi: '3.1.0' })
    const { paths } = body as { paths: object }
    for (const path of ['/v1/models/{name}', '/v1/servers', '/v1/watch', '/v1/placement/explain', '/v1/nodes'])
      expect(Object.keys(paths)).toContain(path)
    expect(await rest.call('GET', '/docs')).toMatchObject({ status: 200 })
  })
})
