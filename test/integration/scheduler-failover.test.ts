/** Several schedulers, one state: who writes, who follows, what a restart changes (nothing). */
import { describe, expect, it } from 'vitest'
import type { ModelStatus } from '../../api/resources/status.ts'
import { createFakeAgent } from '../support/fake-agent.ts'
import { connectFakeEnvoy } from '../support/fake-envoy.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource, aServerResource, type SchedulerRig } from '../support/scheduler-rig.ts'

const scenes = useLiveScenes()
let scene: LiveScene

const isAvailable = (status: ModelStatus): boolean => status.state === 'ModelAvailable'
const standby = ['--instance-id', 'standby', '--lease-ttl-ms', '300']

describe('a scheduler that does not lead', () => {
  it('shows what the leader commits, serves it to Envoys, and says who leads when written to', async () => {
    scene = await scenes.start()
    scene.agent()
    const other = await scene.another(standby)
    const envoy = connectFakeEnvoy({ port: other.ports.xds, node: 'at-standby' })
    await scene.rig.admin.apply(aModelResource('iris'))
    await other.untilModel('iris', isAvailable) // I2, I7: the leader counts the ACK of the other's Envoy
    expect(envoy.targets()).toEqual(['iris'])
    await expect(other.admin.apply(aModelResource('more'))).rejects.toMatchObject({
      code: 'NOT_LEADER',
      message: expect.stringContaining(`127.0.0.1:${String(scene.rig.ports.grpc)}`) as string,
    })
    envoy.close()
  })

  it('sends agents to the leader', async () => {
    scene = await scenes.start()
    const other = await scene.another(standby)
    const agent = createFakeAgent({ schedulerPort: other.ports.agent })
    agent.connect()
    const message = await agent.until((received) => received.message === 'redirect')
    expect(message.redirect?.address).toBe(`127.0.0.1:${String(scene.rig.ports.agent)}`)
    agent.close()
  })

  it('holds Available back while an Envoy of another scheduler withholds its ACK (I2)', async () => {
    scene = await scenes.start()
    scene.agent()
    scene.envoy('at-leader')
    const other = await scene.another(standby)
    const elsewhere = connectFakeEnvoy({ port: other.ports.xds, node: 'at-standby' })
    await scene.rig.admin.apply(aModelResource('first'))
    await elsewhere.until('the first route', () => elsewhere.targets().includes('first'))
    await scene.rig.untilModel('first', isAvailable)
    await expect.poll(() => countingNodes(scene.rig)).toBe(2)
    elsewhere.withhold()
    await scene.rig.admin.apply(aModelResource('iris'))
    const waiting = await scene.rig.untilModel('iris', ({ reason }) => reason?.includes('ACK') === true)
    expect(waiting.state).toBe('ModelProgressing')
    await scene.settle()
    elsewhere.release()
    await scene.rig.untilModel('iris', isAvailable)
    elsewhere.close()
  })

  it('tells the leader what an Envoy of its own refused', async () => {
    scene = await scenes.start()
    scene.agent()
    const other = await scene.another(standby)
    const refusing = connectFakeEnvoy({
      port: other.ports.xds,
      node: 'at-standby',
      refuse: (kind, _name, body) =>
        kind === 'RDS' && Buffer.from(body).includes('iris') ? 'no such thing' : undefined,
    })
    await expect.poll(() => countingNodes(scene.rig)).toBe(1)
    await scene.rig.admin.apply(aModelResource('iris'))
    const status = await scene.rig.untilModel('iris', ({ state }) => state !== 'ModelProgressing')
    expect(status).toMatchObject({
      state: 'ModelFailed',
      reason: expect.stringContaining('no such thing (node at-standby)') as string,
    })
    refusing.close()
  })

  it('takes over when the leader is gone, and finishes what it began', async () => {
    scene = await scenes.start()
    await scene.rig.admin.apply(aModelResource('iris'))
    const other = await scene.another(standby)
    await scene.rig.stop()
    await expect.poll(() => isLeading(other)).toBe(true)
    await other.admin.apply(aModelResource('second'))
    expect((await other.admin.list('Model')).map(({ metadata }) => metadata.name)).toEqual(['iris', 'second'])
  })

  it('that lost the lease while it was paused cannot write any more (I7)', async () => {
    scene = await scenes.start(['--lease-ttl-ms', '1500'])
    await scene.rig.admin.apply(aModelResource('iris'))
    // What another leader does that the first has not heard of yet.
    await scenes.redis().command('SET', `{${scene.keyPrefix}}:fence`, '99999999999999')
    await scenes
      .redis()
      .command(
        'SET',
        `{${scene.keyPrefix}}:lease`,
        JSON.stringify({ instanceId: 'x', address: 'elsewhere:1', agentAddress: '' }),
        'PX',
        '2000',
      )
    await expect(scene.rig.admin.apply(aModelResource('stale'))).rejects.toMatchObject({ code: 'NOT_LEADER' })
    expect((await scene.rig.admin.list('Model')).map(({ metadata }) => metadata.name)).toEqual(['iris'])
    await expect.poll(() => isLeading(scene.rig)).toBe(true)
    await scene.rig.admin.apply(aModelResource('second'))
  })
})

describe('a restart', () => {
  it('changes nothing: same versions, nothing is loaded again, an Envoy that comes back receives almost nothing', async () => {
    scene = await scenes.start()
    const agent = scene.agent()
    const envoy = scene.envoy()
    for (const name of ['a', 'b', 'c']) await scene.rig.admin.apply(aModelResource(name))
    for (const name of ['a', 'b', 'c']) await scene.rig.untilModel(name, isAvailable)
    const versions = envoy.versions()
    const firstPush = envoy.bytesReceived()
    const loads = agent.received.flatMap((message) => message.desired?.models ?? []).length
    envoy.close()
    await scene.restart()
    expect((await scene.rig.admin.list('Model')).map(({ status }) => (status as ModelStatus).state)).toEqual(
      Array.from({ length: 3 }, () => 'ModelAvailable'),
    )
    const again = scene.envoy('envoy', undefined, versions)
    await expect.poll(() => agent.connected()).toBe(true)
    await scene.rig.admin.apply(aModelResource('d'))
    await scene.rig.untilModel('d', isAvailable)
    await again.until('the new route', () => again.targets().includes('d'))
    expect(again.bytesReceived()).toBeLessThan(firstPush / 4)
    const full = agent.received.flatMap((message) => (message.desired?.full === true ? [message.desired] : []))
    expect(
      full
        .at(-1)
        ?.models.map((model) => model.internalName)
        .toSorted(),
    ).toEqual(['a_1', 'b_1', 'c_1'])
    expect(loads).toBe(3)
    expect([...agent.loaded].toSorted()).toEqual(['a_1', 'b_1', 'c_1', 'd_1'])
  })

  it('waits for expected replicas, names them, and moves nothing before', async () => {
    scene = await scenes.start()
    const first = scene.agent()
    scene.agent({ index: 1 })
    scene.envoy()
    await scene.rig.admin.apply(aServerResource('embedded', { replicas: 2 }))
    await scene.rig.admin.apply(aModelResource('iris', { replicas: 2 }))
    await scene.rig.untilModel('iris', ({ availableReplicas }) => availableReplicas === 2)
    await scene.rig.admin.apply(aModelResource('single'))
    const placed = await scene.rig.untilModel('single', isAvailable)
    const home = placed.versions?.[0]?.replicas?.[0]?.replica
    for (const agent of [first]) agent.disconnect()
    await scene.restart()
    const status = await grpcCall<{ awaitedServers: string[] }>((done) => scene.rig.api.SchedulerStatus({}, done))
    expect(status.awaitedServers).toEqual([expect.stringMatching(/^embedded \([01] of 2\)$/)])
    const { resource } = await scene.rig.admin.get('Server', 'embedded')
    expect((resource.status as { reason: string }).reason).toContain('nothing moves before its replicas are there')
    await scene.settle()
    const unmoved = await scene.rig.untilModel('single', () => true)
    expect(unmoved.versions?.[0]?.replicas?.[0]?.replica).toBe(home)
    first.connect()
    await expect
      .poll(
        async () =>
          (await grpcCall<{ awaitedServers: string[] }>((done) => scene.rig.api.SchedulerStatus({}, done)))
            .awaitedServers,
      )
      .toEqual([])
  })

  it('moves the models of an absent replica when the time for waiting is over', async () => {
    scene = await scenes.start()
    const home = scene.agent()
    const envoy = scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    await scene.rig.untilModel('iris', isAvailable)
    const other = scene.agent({ index: 1 })
    await expect.poll(() => other.connected()).toBe(true)
    home.disconnect() // its server is not there either
    envoy.close()
    await scene.restart(['--scheduler-ready-timeout-seconds', '8'])
    scene.envoy()
    const waiting = await scene.rig.untilModel(
      'iris',
      ({ reason }) => reason?.includes('nothing moves before') === true,
    )
    expect(waiting.availableReplicas).toBe(0)
    expect([...other.loaded]).toEqual([])
    await scene.rig.untilModel('iris', isAvailable)
    expect([...other.loaded]).toEqual(['iris_1'])
  })

  it('deleting everything that BullMQ keeps, under load, costs time and loses nothing', async () => {
    scene = await scenes.start([], { sweepMs: 3_000 })
    scene.agent({ memoryBytes: 1_000_000_000 })
    scene.envoy()
    const names = Array.from({ length: 40 }, (_, index) => `m${String(index)}`)
    const apply = Promise.all(names.map((name) => scene.rig.admin.apply(aModelResource(name))))
    let deleting = true
    const deleter = (async () => {
      while (deleting) {
        const keys = (await scenes.redis().command('KEYS', `{${scene.keyPrefix}}:jobs:*`)) as string[]
        if (keys.length > 0) await scenes.redis().command('DEL', ...keys)
      }
    })()
    await apply
    await Promise.all(names.map((name) => scene.rig.admin.apply(aModelResource(name, { storageUri: '/models/v2' }))))
    for (const name of names.slice(0, 20)) await scene.rig.admin.delete('Model', name, { force: true })
    deleting = false
    await deleter
    // The wake-ups that ended drains are gone; the sweep of the loop finds what is left to do.
    for (const name of names.slice(0, 20)) await scene.rig.untilGone(name)
    for (const name of names.slice(20))
      await scene.rig.untilModel(
        name,
        ({ state, version, servingVersion }) => state === 'ModelAvailable' && version === 2 && servingVersion === 2,
      )
  })
})

async function countingNodes(rig: SchedulerRig): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${String(rig.ports.http)}/metrics`)
  return Number(/^millrace_scheduler_counting_nodes (\d+)$/m.exec(await response.text())?.[1])
}

async function isLeading(rig: SchedulerRig): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${String(rig.ports.http)}/readyz`)
  return ((await response.json()) as { role: string }).role === 'leading'
}
