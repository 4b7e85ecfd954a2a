/** What is acknowledged is in Redis; what cannot be written is refused within 2 s; work goes on by itself afterwards. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StoredModel } from '../../api/resources/status.ts'
import { createFakeAgent, type FakeAgent, type FakeAgentOptions } from '../support/fake-agent.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { aModelResource, aServerResource, type SchedulerRig, startSchedulerRig } from '../support/scheduler-rig.ts'

let redis: TestRedis
let rig: SchedulerRig
const agents: FakeAgent[] = []

beforeEach(async () => {
  redis = await startRedis()
  rig = await startSchedulerRig({ redisUrl: redis.url, keyPrefix: 'faults' })
})
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.close()
  await rig.stop()
  await redis.stop()
})

async function restartScheduler(): Promise<void> {
  await rig.stop()
  rig = await startSchedulerRig({ redisUrl: redis.url, keyPrefix: 'faults' })
}

function startAgent(options: Omit<FakeAgentOptions, 'schedulerPort'> = {}): FakeAgent {
  const agent = createFakeAgent({ schedulerPort: rig.ports.agent, ...options })
  agents.push(agent)
  agent.connect()
  return agent
}

/** The bound is 2 s; a machine that has much else to do may take longer to say so. */
const REFUSED_MS = 10_000

/** The call must fail as UNAVAILABLE, soon. */
async function refusedSoon(call: () => Promise<unknown>): Promise<void> {
  const started = performance.now()
  await expect(call()).rejects.toSatisfy(
    (error: { code: unknown }) => error.code === 14 || error.code === 'STORE_UNAVAILABLE',
  )
  expect(performance.now() - started).toBeLessThan(REFUSED_MS)
}

const loadModel = (name: string) =>
  grpcCall((done) => rig.api.LoadModel({ model: { meta: { name }, modelSpec: { uri: '/models/x' } } }, done))
const unloadModel = (name: string) => grpcCall((done) => rig.api.UnloadModel({ model: { name } }, done))
const notifyServer = (name: string) =>
  grpcCall((done) => rig.api.ServerNotify({ servers: [{ name, expectedReplicas: 2 }] }, done))

/** What each write does, and how one sees that it was done. */
const writes = {
  LoadModel: {
    write: () => loadModel('fresh'),
    isDone: async () => (await rig.admin.list('Model')).some(({ metadata }) => metadata.name === 'fresh'),
  },
  UnloadModel: {
    write: () => unloadModel('iris'),
    isDone: async () => !(await rig.admin.list('Model')).some(({ metadata }) => metadata.name === 'iris'),
  },
  ServerNotify: {
    write: () => notifyServer('notified'),
    isDone: async () => (await rig.admin.list('Server')).some(({ metadata }) => metadata.name === 'notified'),
  },
  Apply: {
    write: () => rig.admin.apply(aModelResource('iris', { storageUri: '/models/other' })),
    isDone: async () => {
      const { resource } = await rig.admin.get('Model', 'iris')
      return (resource as StoredModel).spec.storageUri === '/models/other'
    },
  },
  Rollback: {
    write: () => rig.admin.rollback('twice', 0),
    isDone: async () => {
      const { resource } = await rig.admin.get('Model', 'twice')
      return (resource as StoredModel).spec.storageUri === '/models/first'
    },
  },
  Delete: {
    write: () => rig.admin.delete('Model', 'iris'),
    isDone: async () => !(await rig.admin.list('Model')).some(({ metadata }) => metadata.name === 'iris'),
  },
} as const

describe('Redis is killed around a write', () => {
  for (const [name, { write, isDone }] of Object.entries(writes)) {
    it(`${name}: UNAVAILABLE within 2 s while it is away; what was acknowledged survives; the next try works`, async () => {
      await rig.admin.apply(aModelResource('iris'))
      await rig.admin.apply(aModelResource('twice', { storageUri: '/models/first' }))
      await rig.admin.apply(aModelResource('twice', { storageUri: '/models/second' }))

      await redis.kill()
      await refusedSoon(write)
      await redis.start()
      await expect
        .poll(() =>
          write().then(
            () => 'done',
            () => 'refused',
          ),
        )
        .toBe('done')
      await redis.kill()
      await redis.start()
      await restartScheduler()
      await expect.poll(isDone).toBe(true)
      expect((await rig.admin.list('Model')).map(({ metadata }) => metadata.name)).toContain('twice')
    })
  }

  it('in the middle of many writes nothing that was acknowledged is lost', async () => {
    const acknowledged: string[] = []
    const writing = Promise.all(
      Array.from({ length: 10 }, async (_, writer) => {
        for (let n = 0; n < 100; n += 1) {
          const name = `m-${String(writer)}-${String(n)}`
          const ok = await rig.admin.apply(aModelResource(name)).then(
            () => true,
            () => false,
          )
          if (ok) acknowledged.push(name)
        }
      }),
    )
    await expect.poll(() => acknowledged.length, { interval: 5 }).toBeGreaterThan(100)
    await redis.kill()
    await redis.start()
    await writing
    await restartScheduler()
    const stored = new Set((await rig.admin.list('Model')).map(({ metadata }) => metadata.name))
    expect(acknowledged.filter((name) => !stored.has(name))).toEqual([])
    expect(acknowledged.length).toBeLessThan(1_000) // the kill did refuse some
  })
})

describe('Redis answers nothing', () => {
  it('every write says so within 2 s, and reads still work', async () => {
    await rig.admin.apply(aModelResource('iris'))
    redis.pause()
    await Promise.all([
      refusedSoon(() => loadModel('a')),
      refusedSoon(() => unloadModel('iris')),
      refusedSoon(() => notifyServer('b')),
      refusedSoon(() => rig.admin.apply(aServerResource('c', { replicas: 1 }))),
    ])
    const { resource, events } = await rig.admin.get('Model', 'iris')
    expect(resource.metadata.name).toBe('iris')
    expect(events[0]).toMatchObject({ type: 'Warning', reason: 'STORE_UNAVAILABLE' })
    redis.resume()
    await expect
      .poll(() =>
        loadModel('a').then(
          () => 'done',
          () => 'refused',
        ),
      )
      .toBe('done')
  })
})

describe('work during an outage', () => {
  it('what an agent reports while Redis is away is written when it is back', async () => {
    const agent = startAgent({ onLoad: () => 'later' })
    await rig.admin.apply(aModelResource('iris'))
    await agent.until((message) => message.desired?.models[0]?.internalName === 'iris_1')
    await redis.kill()
    agent.finish('iris_1', 'loaded')
    await redis.start()
    await rig.untilModel('iris', (status) => status.versions?.[0]?.replicas?.[0]?.state === 'Loaded')
    await restartScheduler()
    const status = await rig.untilModel('iris', () => true)
    expect(status.versions?.[0]?.replicas).toMatchObject([{ replica: 'embedded/0', state: 'Loaded' }])
  })

  it('a model accepted before an outage is loaded after it, with nobody asking again', async () => {
    await rig.admin.apply(aModelResource('iris'))
    await redis.kill()
    const agent = startAgent()
    await redis.start()
    await agent.until((message) => message.desired?.models.some((model) => model.internalName === 'iris_1') === true)
  })
})

describe('state that was lost', () => {
  it('an emptied Redis ends the scheduler instead of being followed (I9)', async () => {
    const agent = startAgent()
    await rig.admin.apply(aModelResource('iris'))
    await agent.until((message) => message.desired?.models.some((model) => model.internalName === 'iris_1') === true)
    await redis.command('FLUSHALL')
    await expect.poll(() => rig.fatal.map((error) => error.code)).toContain('STORE_GAP')
    expect([...agent.loaded]).toEqual(['iris_1'])
  })

  it('a scheduler that starts on an empty Redis leaves what agents have loaded, until it is applied again (I9)', async () => {
    const agent = startAgent()
    await rig.admin.apply(aModelResource('iris'))
    await agent.until((message) => message.desired?.models.some((model) => model.internalName === 'iris_1') === true)
    agent.disconnect()
    await rig.stop()
    await redis.command('FLUSHALL')
    rig = await startSchedulerRig({
      redisUrl: redis.url,
      keyPrefix: 'faults',
      flags: ['--agent-port', String(rig.ports.agent)],
    })
    const before = agent.received.length
    agent.connect()
    await expect.poll(() => agent.received.length).toBeGreaterThan(before)
    expect([...agent.loaded]).toEqual(['iris_1'])
    await rig.admin.apply(aModelResource('iris'))
    await agent.until((message) => message.desired?.models.some((model) => model.internalName === 'iris_2') === true)
  })
})
