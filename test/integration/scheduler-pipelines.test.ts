/** Pipelines from the API to Envoy's routes, with gateways that load, fail, come, go and restart. */
import { describe, expect, it } from 'vitest'
import type { PipelineStatus } from '../../api/resources/status.ts'
import { createFakeGateway } from '../support/fake-gateway.ts'
import { connectFakeEnvoy } from '../support/fake-envoy.ts'
import { pipeline } from '../support/manifests.ts'
import { createRestClient } from '../support/rest.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource } from '../support/scheduler-rig.ts'
import type { Resource } from '../../api/resources/resource.ts'

const scenes = useLiveScenes()
let scene: LiveScene

const aPipelineResource = (name: string, spec: object = {}): Resource =>
  pipeline({ steps: [{ name: 'iris' }], output: { steps: ['iris'] }, ...spec }, name) as Resource
const isReady = (status: PipelineStatus): boolean => status.state === 'PipelineReady'
const servesVersion =
  (version: number) =>
  (status: PipelineStatus): boolean =>
    isReady(status) && status.servingVersion === version
const conditionOf = (status: PipelineStatus, type: string): string | undefined =>
  status.conditions?.find((condition) => condition.type === type)?.status
const healths = ['pipeline-gateway/rest', 'pipeline-gateway/grpc'] as const

describe('a pipeline', () => {
  it('is loaded, routed and ready; a new version changes no route and lets the old one go', async () => {
    scene = await scenes.start()
    const gateway = scene.gateway({ restPort: 7_001, grpcPort: 7_002 })
    const envoy = scene.envoy()
    await scene.rig.admin.apply(aPipelineResource('p'))
    const first = await scene.rig.untilPipeline('p', isReady)
    expect(first).toMatchObject({ servingVersion: 1, version: 1, reason: 'Version 1 serves' })
    expect(envoy.targets()).toEqual(['p.pipeline'])
    expect(healths.map((cluster) => envoy.endpoints(cluster))).toEqual([
      ['127.0.0.1:7001 HEALTHY'],
      ['127.0.0.1:7002 HEALTHY'],
    ])
    const told = envoy.events.length
    await scene.rig.admin.apply(aPipelineResource('p', { timeoutMs: 5 }))
    await scene.rig.untilPipeline('p', servesVersion(2))
    await gateway.until(() => gateway.held().join() === 'p@2')
    const kinds = gateway.received.map(({ message }) => message)
    expect(kinds).toEqual(['synchronised', 'load', 'serve', 'load', 'serve', 'unload'])
    expect(JSON.parse(gateway.received[3]?.load?.specJson ?? '')).toMatchObject({ timeoutMs: 5 })
    expect(envoy.events).toHaveLength(told)
  })

  it('may be created before its models and before any gateway, and says what it waits for', async () => {
    scene = await scenes.start()
    scene.envoy()
    await scene.rig.admin.apply(aPipelineResource('p'))
    const waiting = await scene.rig.untilPipeline('p', ({ reason }) => reason?.includes('gateway') === true)
    expect(waiting).toMatchObject({ state: 'PipelineCreate', modelsReady: false, missingModels: ['iris'] })
    scene.gateway()
    const routed = await scene.rig.untilPipeline('p', isReady)
    expect(
      ['PipelineReady', 'PipelineGwReady', 'ModelsReady', 'Ready'].map((type) => conditionOf(routed, type)),
    ).toEqual(['True', 'True', 'False', 'False'])
    scene.agent()
    await scene.rig.admin.apply(aModelResource('iris'))
    const whole = await scene.rig.untilPipeline('p', ({ modelsReady }) => modelsReady === true)
    expect(conditionOf(whole, 'Ready')).toBe('True')
  })

  it('whose new version one gateway cannot load keeps serving the old one, on both', async () => {
    scene = await scenes.start()
    scene.envoy()
    const good = scene.gateway({ name: 'good' })
    let isBroken = true
    const onLoad = ({ version }: { version: number }) =>
      version === 2 && isBroken ? { failed: 'no such topic' } : ('loaded' as const)
    const bad = scene.gateway({ name: 'bad', onLoad })
    await Promise.all([good, bad].map((gateway) => gateway.until(() => gateway.received.length > 0)))
    await scene.rig.admin.apply(aPipelineResource('p'))
    await scene.rig.untilPipeline('p', isReady)
    await scene.rig.admin.apply(aPipelineResource('p', { timeoutMs: 5 }))
    const failed = await scene.rig.untilPipeline('p', ({ state }) => state === 'PipelineFailed')
    expect(failed).toMatchObject({ version: 2, servingVersion: 1 })
    expect(failed.reason).toBe(
      'Version 2 failed on bad: no such topic (it is tried again by itself); version 1 keeps serving',
    )
    expect([good.serving(), bad.serving()]).toEqual([['p@1'], ['p@1']])
    expect(good.held()).toEqual(['p@1', 'p@2'])

    isBroken = false
    await scene.rig.untilPipeline('p', servesVersion(2)) // tried again by itself
    await bad.until(() => bad.held().join() === 'p@2')
  })

  it('that is deleted leaves the routes, then the gateways, then is gone', async () => {
    scene = await scenes.start()
    const envoy = scene.envoy()
    const gateway = scene.gateway()
    await scene.rig.admin.apply(aPipelineResource('p', { dataflow: { cleanTopicsOnDelete: true } }))
    await scene.rig.untilPipeline('p', isReady)
    envoy.withhold()
    await scene.rig.admin.delete('Pipeline', 'p')
    await scene.settle()
    expect(gateway.held()).toEqual(['p@1']) // I3: Envoy has not ACKed
    envoy.release()
    await gateway.until(() => gateway.held().length === 0)
    await scene.rig.untilGone('p', 'Pipeline')
    const unloads = gateway.received.flatMap(({ unload }) => (unload ? [unload] : []))
    expect(unloads).toMatchObject([
      { pipeline: 'p', version: 1, keepTopics: true }, // until nobody has it, topics may be written to
      { pipeline: 'p', version: 1, keepTopics: false },
    ])
    expect(envoy.targets()).toEqual([])
  })
})

describe('gateways', () => {
  it('enter the endpoints when they have what serves, leave them when they are lost or stop; no route moves', async () => {
    scene = await scenes.start()
    const envoy = scene.envoy()
    const first = scene.gateway({ name: 'a', restPort: 7_001 })
    await scene.rig.admin.apply(aPipelineResource('p'))
    await scene.rig.untilPipeline('p', isReady)
    const routes = envoy.events.filter(({ kind }) => kind === 'RDS').length
    const held: (() => void)[] = []
    const second = scene.gateway({
      name: 'b',
      restPort: 7_011,
      onLoad: (load) => {
        held.push(() => {
          second.finish(load)
        })
        return 'later'
      },
    })
    await second.until(() => held.length === 1)
    const endpoints = () => envoy.endpoints('pipeline-gateway/rest')
    await envoy.until('the second endpoint', () => endpoints().length === 2)
    expect(endpoints()).toEqual(['127.0.0.1:7001 HEALTHY', '127.0.0.1:7011 UNHEALTHY'])
    held[0]?.()
    await envoy.until('the second gateway', () => endpoints()[1] === '127.0.0.1:7011 HEALTHY')

    first.send({ draining: {} })
    await first.until(() => first.received.at(-1)?.message === 'drained')
    expect(endpoints()).toEqual(['127.0.0.1:7001 DRAINING', '127.0.0.1:7011 HEALTHY'])
    first.close()
    await envoy.until('the end of the first', () => endpoints().length === 1)

    const third = scene.gateway({ name: 'c', restPort: 7_021 })
    await envoy.until('the third gateway', () => endpoints()[1] === '127.0.0.1:7021 HEALTHY')
    third.close()
    await envoy.until('the loss of the third', () => endpoints()[1] === '127.0.0.1:7021 UNHEALTHY')
    second.close() // nobody is left: nothing is taken away
    const outage = await scene.rig.untilPipeline('p', ({ state }) => state === 'PipelineCreate')
    expect(outage.reason).toContain('no pipeline gateway is connected')
    expect(endpoints()[0]).toBe('127.0.0.1:7011 HEALTHY')
    expect(envoy.events.filter(({ kind }) => kind === 'RDS')).toHaveLength(routes)
    scene.gateway({ name: 'b', restPort: 7_011 })
    await scene.rig.untilPipeline('p', isReady)
  })

  it('say how they journal: one copy only is told in the status, over a restart of the scheduler too', async () => {
    scene = await scenes.start()
    scene.envoy()
    const gateway = scene.gateway({ introduction: { hasJournal: true } })
    await scene.rig.admin.apply(aPipelineResource('p'))
    await scene.rig.untilPipeline('p', isReady)
    const says = (text: string) => (status: PipelineStatus) => status.reason?.includes(text) === true
    gateway.send({ journal: { unreplicated: true, remark: 'one copy' } })
    await scene.rig.untilPipeline('p', says('Version 1 serves; the journal is not replicated'))
    const rest = () => createRestClient(`http://127.0.0.1:${String(scene.rig.ports.http)}`)
    expect((await rest().call('GET', '/v1/workers')).body).toMatchObject({
      items: [{ role: 'pipeline-gateway', journalRemark: 'one copy', draining: false, units: [{ name: 'p' }] }],
    })

    await scene.restart() // it has reached Kafka, and says the same or nothing yet
    await gateway.until(() => gateway.received.at(-1)?.message === 'synchronised')
    expect(says('not replicated')(await scene.rig.untilPipeline('p', isReady))).toBe(true)
    gateway.send({ journal: { unreplicated: false, remark: '' } })
    await scene.rig.untilPipeline('p', (status) => isReady(status) && !says('not replicated')(status))
  })

  it('with a newer stream of the same name are told everything on it alone', async () => {
    scene = await scenes.start()
    scene.envoy()
    const older = scene.gateway({ reconnects: false })
    await scene.rig.admin.apply(aPipelineResource('p'))
    await scene.rig.untilPipeline('p', isReady)
    const newer = scene.gateway()
    await newer.until(() => newer.received.at(-1)?.message === 'synchronised')
    expect(newer.held()).toEqual(['p@1'])
    const before = older.received.length
    await scene.rig.admin.apply(aPipelineResource('p', { timeoutMs: 5 }))
    await newer.until(() => newer.held().join() === 'p@2')
    expect(older.received).toHaveLength(before)
  })

  it('that say nothing sensible are refused, with every reason', async () => {
    scene = await scenes.start()
    const wrong = createFakeGateway({
      schedulerPort: scene.rig.ports.agent,
      name: 'A_B',
      restPort: 70_000,
      introduction: { address: 'gateway.example' },
      reconnects: false,
    })
    wrong.connect()
    const problem = await wrong.ended()
    for (const path of ['introduction.name', 'introduction.address', 'introduction.rest_port'])
      expect(problem).toContain(path)
    wrong.close()
  })

  it('are sent to the leader by a scheduler that follows', async () => {
    scene = await scenes.start()
    const other = await scene.another(['--instance-id', 'standby', '--lease-ttl-ms', '300'])
    const gateway = createFakeGateway({ schedulerPort: other.ports.agent, reconnects: false })
    gateway.connect()
    await gateway.until(() => gateway.received.length > 0)
    expect(gateway.received[0]?.redirect?.address).toBe(`127.0.0.1:${String(scene.rig.ports.agent)}`)
    gateway.close()
  })
})

describe('a scheduler that starts again', () => {
  it('gives Envoy the same routes before any gateway is back, and tells gateways only what changed', async () => {
    scene = await scenes.start()
    const envoy = scene.envoy()
    const gateway = scene.gateway({ restPort: 7_001, reconnects: false })
    await scene.rig.admin.apply(aPipelineResource('p'))
    await scene.rig.admin.apply(aPipelineResource('q'))
    await scene.rig.untilPipeline('p', isReady)
    await scene.rig.untilPipeline('q', isReady)
    const versions = envoy.versions()
    await scene.restart()
    const fresh = connectFakeEnvoy({ port: scene.rig.ports.xds, node: 'fresh' })
    await fresh.until('the routes', () => fresh.targets().length === 2)
    expect(fresh.endpoints('pipeline-gateway/rest')).toEqual(['127.0.0.1:7001 HEALTHY'])
    const again = scene.envoy('envoy', undefined, versions)
    await scene.settle()
    expect(again.events.flatMap(({ names }) => names)).toEqual([]) // byte for byte what it has
    const before = gateway.received.length
    gateway.connect()
    await gateway.until(() => gateway.received.length > before)
    await scene.settle()
    const told = gateway.received.slice(before).map(({ message }) => message)
    expect(told).toEqual(['serve', 'serve', 'synchronised'])
    expect(await scene.rig.untilPipeline('p', () => true)).toMatchObject({ state: 'PipelineReady' })
    fresh.close()
  })

  it('on an empty store drops no plan that a gateway has, until it is applied again (I9)', async () => {
    scene = await scenes.start()
    const gateway = scene.gateway({ reconnects: false })
    scene.envoy()
    await scene.rig.admin.apply(aPipelineResource('p'))
    await scene.rig.untilPipeline('p', isReady)
    gateway.disconnect()
    const other = await scenes.start()
    const moved = other.gateway({ like: gateway })
    await moved.until(() => moved.received.at(-1)?.message === 'synchronised')
    expect(moved.held()).toEqual(['p@1'])
    other.envoy()
    await other.rig.admin.apply(aPipelineResource('p'))
    await other.rig.untilPipeline('p', isReady)
    expect(moved.held()).toEqual(['p@1'])
  })

  it('tells a gateway that was away to drop what was deleted meanwhile', async () => {
    scene = await scenes.start()
    scene.envoy()
    const away = scene.gateway({ name: 'away', reconnects: false })
    const here = scene.gateway({ name: 'here' })
    await scene.rig.admin.apply(aPipelineResource('p'))
    await scene.rig.untilPipeline('p', isReady)
    await here.until(() => here.held().length === 1)
    await away.until(() => away.held().length === 1)
    away.disconnect()
    await scene.rig.admin.delete('Pipeline', 'p')
    await scene.rig.untilGone('p', 'Pipeline')
    away.connect()
    await away.until(() => away.received.at(-1)?.message === 'synchronised' && away.held().length === 0)
  })
})
