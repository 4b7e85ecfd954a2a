/** Engines and model gateways that come, go, restart and share what is to be read, with a scheduler that restarts. */
import { describe, expect, it } from 'vitest'
import type { PipelineStatus } from '../../api/resources/status.ts'
import type { FakeGateway } from '../support/fake-gateway.ts'
import { pipeline } from '../support/manifests.ts'
import { createRestClient } from '../support/rest.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource } from '../support/scheduler-rig.ts'
import type { Resource } from '../../api/resources/resource.ts'

const scenes = useLiveScenes()
let scene: LiveScene

const PIPELINES = ['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7']
const aPipeline = (name: string, spec: object = {}): Resource =>
  pipeline({ steps: [{ name: 'iris' }], output: { steps: ['iris'] }, ...spec }, name) as Resource
const anEngine = (name: string, options: Parameters<LiveScene['gateway']>[0] = {}): FakeGateway =>
  scene.gateway({ name, introduction: { role: 'ENGINE' }, ...options })
const says = (text: string) => (status: PipelineStatus) => status.reason?.includes(text) === true
const isReady = (status: PipelineStatus): boolean => status.state === 'PipelineReady'

const rest = () => createRestClient(`http://127.0.0.1:${String(scene.rig.ports.http)}`)

/** With a gateway that writes to Kafka, and pipelines that serve. */
async function aSceneOf(names: readonly string[], spec: (name: string) => object = () => ({})): Promise<void> {
  scene = await scenes.start()
  scene.envoy()
  scene.gateway({ introduction: { hasJournal: true } })
  for (const name of names) await scene.rig.admin.apply(aPipeline(name, spec(name)))
  for (const name of names) await scene.rig.untilPipeline(name, isReady)
}
/** Each asks after its own messages only. */
const untilOneSees = (engines: readonly FakeGateway[], wanted: () => boolean): Promise<void> =>
  Promise.any(engines.map((engine) => engine.until(wanted)))

describe('engines and model gateways', () => {
  it('share the pipelines: one that comes takes its share from those that released it, one that is gone leaves its own', async () => {
    await aSceneOf(PIPELINES)
    const none = await scene.rig.untilPipeline('p0', says('no engine'))
    expect(none).toMatchObject({
      state: 'PipelineReady',
      reason: 'Version 1 serves; no engine is connected: records on its input topic wait',
    })
    const first = anEngine('a', { releases: false })
    await first.until(() => first.units().length === PIPELINES.length)
    await scene.rig.untilPipeline('p0', ({ reason }) => reason === 'Version 1 serves')
    expect(first.serving()).toEqual(PIPELINES.map((name) => `${name}@1`))
    const kinds = first.received.flatMap(({ message, load, unitAssign }) =>
      (load ?? unitAssign) === undefined ? [] : [`${String(message)} ${load?.pipeline ?? unitAssign?.name ?? ''}`],
    )
    for (const name of PIPELINES)
      expect(kinds.indexOf(`load ${name}`)).toBeLessThan(kinds.indexOf(`unitAssign ${name}`))

    const second = anEngine('b')
    const revoked = () => first.received.flatMap(({ unitRevoke }) => (unitRevoke ? [unitRevoke.name] : []))
    await first.until(() => revoked().length > 0)
    await scene.settle()
    expect([second.units(), second.held()]).toEqual([[], []]) // nothing before it was released
    expect(revoked().length).toBeLessThan(PIPELINES.length)
    for (const name of revoked()) first.release(name)
    await second.until(() => second.units().length === revoked().length)
    expect(second.units()).toEqual(revoked().toSorted())
    await first.until(() => first.held().length === PIPELINES.length - revoked().length) // plans go with the units

    second.close()
    await first.until(() => first.units().length === PIPELINES.length)
  })

  it('keep what they read over a restart of the scheduler; one that drains hands everything over', async () => {
    await aSceneOf(PIPELINES)
    const engines = [anEngine('a'), anEngine('b')]
    const all = () => engines.flatMap((engine) => engine.units()).toSorted()
    const [a, b] = engines as [FakeGateway, FakeGateway]
    await untilOneSees(engines, () => all().join() === PIPELINES.join())
    const before = engines.map((engine) => engine.units())
    const told = engines.map((engine) => engine.received.length)
    await scene.restart()
    for (const [index, engine] of engines.entries())
      await engine.until(() => engine.received.slice(told[index]).some(({ synchronised }) => synchronised))
    await scene.rig.admin.apply(aPipeline('late'))
    await untilOneSees(engines, () => all().includes('late')) // so the allowance of the new scheduler is over
    const movedBy = engines.flatMap((engine, index) =>
      engine.received
        .slice(told[index])
        .flatMap(({ unitAssign, unitRevoke }) => (unitAssign ?? unitRevoke)?.name ?? []),
    )
    expect(movedBy).toEqual(['late'])
    expect(engines.map((engine) => engine.units().filter((name) => name !== 'late'))).toEqual(before)

    b.send({ draining: {} })
    await b.until(() => b.received.at(-1)?.message === 'drained')
    expect(b.units()).toEqual([])
    await a.until(() => a.units().length === PIPELINES.length + 1)
    await scene.rig.admin.delete('Pipeline', 'late')
    await a.until(() => !a.units().includes('late') && !a.held().includes('late@1'))
    expect(a.received.find(({ unitRevoke }) => unitRevoke?.name === 'late')?.unitRevoke?.gone).toBe(true)
  })

  it('are given the plans of pipelines that theirs take from, model gateways the available models', async () => {
    await aSceneOf(['q', 'p'], (name) => (name === 'p' ? { input: { externalInputs: ['q', 'nobody.outputs'] } } : {}))
    const owner = anEngine('a', {
      onLoad: ({ pipeline: name }) => (name === 'q' ? { failed: 'not this one' } : ('loaded' as const)),
    })
    await owner.until(() => owner.units().join() === 'p,q')
    await scene.rig.untilPipeline('q', says('could not load it: not this one'))
    const other = anEngine('b')
    const loaded = (engine: FakeGateway) => engine.received.flatMap(({ load }) => (load ? [load.pipeline] : []))
    expect(loaded(owner)).toContain('q')

    await other.until(() => other.units().join() === 'q') // by their names; p stays where it was
    owner.send({ unitLags: { lags: [{ kind: 'PIPELINE', name: 'p', records: 7 }] } })
    await expect
      .poll(async () => (await rest().call('GET', '/v1/workers')).body)
      .toMatchObject({
        leading: true,
        items: [
          { role: 'pipeline-gateway', name: 'gateway-0', units: [{ name: 'p' }, { name: 'q' }] },
          { role: 'engine', name: 'a', draining: false, units: [{ name: 'p', lagRecords: 7 }] },
          { name: 'b', units: [{ name: 'q' }] },
        ],
      })

    scene.agent() // the same of models, which need no plan
    await scene.rig.admin.apply(aModelResource('iris'))
    const gateway = scene.gateway({ name: 'm', introduction: { role: 'MODEL_GATEWAY' } })
    await gateway.until(() => gateway.units().join() === 'iris')
    expect(gateway.received.flatMap(({ message, load }) => (load ? ['load'] : [message]))).not.toContain('load')
    await scene.rig.admin.delete('Model', 'iris')
    await gateway.until(() => gateway.units().length === 0)
  })
})
