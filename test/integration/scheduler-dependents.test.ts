/** Pipelines and experiments as resources: every API, two schedulers, a restart. What they do is tested elsewhere. */
import type { ServiceError } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { parseResource } from '../../api/resources/resource.ts'
import { all } from '../support/collect-stream.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { experiment, pipeline } from '../support/manifests.ts'
import { createRestClient } from '../support/rest.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource } from '../support/scheduler-rig.ts'

const FAILED_PRECONDITION = 9

const scenes = useLiveScenes()
let scene: LiveScene
const { collect } = scenes

const chain = (...steps: string[]) => pipeline({ steps: steps.map((name) => ({ name })), output: { steps } })
const split = (...candidates: string[]) => ({ candidates: candidates.map((name) => ({ name, weight: 50 })) })
const apply = (raw: object) => scene.rig.admin.apply(parseResource(raw))
const restOf = (port: number) => createRestClient(`http://127.0.0.1:${String(port)}`)

describe('pipelines and experiments', () => {
  it('survive a restart, and are shown by a scheduler that follows', async () => {
    scene = await scenes.start()
    const other = await scene.another(['--instance-id', 'standby'])
    await apply(chain('a'))
    await apply(chain('a', 'b'))
    await apply(experiment(split('a', 'b')))
    const namesAt = async (rig: typeof other) => [
      ...(await rig.admin.list('Pipeline')).map(({ metadata }) => metadata.name),
      ...(await rig.admin.list('Experiment')).map(({ metadata }) => metadata.name),
    ]
    await expect.poll(() => namesAt(other)).toEqual(['all', 'ab'])
    const before = await scene.rig.admin.get('Pipeline', 'all')
    await scene.restart()
    const after = await scene.rig.admin.get('Pipeline', 'all')
    expect(after.resource).toEqual(before.resource)
    expect(after.resource).toMatchObject({ metadata: { generation: 2 }, status: { version: 2, versions: [{}, {}] } })
    expect(await namesAt(scene.rig)).toEqual(['all', 'ab'])
  })

  it('follow the models that they name', async () => {
    scene = await scenes.start()
    scene.agent()
    scene.envoy()
    await apply(chain('a', 'b'))
    await apply(experiment(split('a')))
    const watch = restOf(scene.rig.ports.http)
    const pipelines = await watch.events('/v1/watch?kind=Pipeline')
    const ready = collect(scene.rig.api.SubscribeExperimentStatus({ subscriberName: 'test' }))
    await ready.until(({ candidatesReady }) => !candidatesReady)
    await scene.rig.admin.apply(aModelResource('a'))
    await ready.until(({ experimentName, candidatesReady }) => experimentName === 'ab' && candidatesReady)
    await pipelines.until(
      ({ event, data }) => event === 'state' && JSON.stringify(data).includes('"missingModels":["b"]'),
    )
    pipelines.close()
  })

  it('are listed, read, put, rolled back and deleted over REST', async () => {
    scene = await scenes.start()
    const rest = restOf(scene.rig.ports.http)
    expect(await rest.call('PUT', '/v1/pipelines/all', chain('a'))).toMatchObject({ status: 201 })
    expect(await rest.call('PUT', '/v1/pipelines/all?dryRun=true', chain('b'))).toMatchObject({
      status: 200,
      body: { outcome: 'CHANGED', resource: { status: { version: 2 } } },
    })
    expect(await rest.call('PUT', '/v1/pipelines/all', chain('b'))).toMatchObject({ body: { outcome: 'CHANGED' } })
    expect(await rest.call('POST', '/v1/pipelines/all/rollback', { version: 1 })).toMatchObject({
      status: 200,
      body: { fromVersion: 2, restoredVersion: 1, newVersion: 3 },
    })
    expect(await rest.call('GET', '/v1/pipelines')).toMatchObject({ body: { items: [{ metadata: { name: 'all' } }] } })
    expect(await rest.call('GET', '/v1/pipelines/none')).toMatchObject({
      status: 404,
      body: { code: 'PIPELINE_NOT_FOUND' },
    })
    expect(await rest.call('PUT', '/v1/pipelines/bad', pipeline({ steps: [{ name: 'bad' }] }, 'bad'))).toMatchObject({
      status: 400,
      body: { code: 'PIPELINE_SPEC_INVALID', issues: [{ path: 'spec.steps[0].name' }] },
    })
    expect(await rest.call('PUT', '/v1/experiments/ab', experiment(split('a', 'b')))).toMatchObject({ status: 201 })
    expect(await rest.call('PUT', '/v1/experiments/ab', experiment({}))).toMatchObject({
      status: 400,
      body: { code: 'MANIFEST_INVALID', issues: [{ path: 'spec.candidates' }] },
    })
    expect(await rest.call('POST', '/v1/experiments/ab/rollback', {})).toMatchObject({ status: 404 })
    expect(await rest.call('DELETE', '/v1/pipelines/all')).toMatchObject({ status: 202 })
    expect(await rest.call('DELETE', '/v1/experiments/ab')).toMatchObject({ status: 202 })
    for (const path of ['/v1/pipelines/all', '/v1/experiments/ab'])
      await expect.poll(async () => (await rest.call('GET', path)).status).toBe(404)
  })

  it('keep what an experiment sends to from being deleted', async () => {
    scene = await scenes.start()
    await scene.rig.admin.apply(aModelResource('a'))
    await apply(experiment(split('a')))
    await expect(scene.rig.admin.delete('Model', 'a')).rejects.toMatchObject({
      message: expect.stringContaining('experiment ab') as string,
    })
    await scene.rig.admin.delete('Experiment', 'ab')
    await scene.rig.admin.delete('Model', 'a')
    await scene.rig.untilGone('a')
  })
})

describe('the compatible API', () => {
  const refused = (call: Promise<unknown>, text: string) =>
    expect(call).rejects.toSatisfy(
      (error: ServiceError) => error.code === FAILED_PRECONDITION && error.details.includes(text),
    )
  const loadPipeline = (message: object) => grpcCall((done) => scene.rig.api.LoadPipeline({ pipeline: message }, done))
  const start = (message: object) => grpcCall((done) => scene.rig.api.StartExperiment({ experiment: message }, done))

  it('loads, tells and unloads pipelines', async () => {
    scene = await scenes.start()
    const { api } = scene.rig
    const updates = collect(api.SubscribePipelineStatus({ subscriberName: 'test' }))
    const spec = {
      name: 'joined',
      steps: [
        { name: 'a' },
        { name: 'b', inputs: ['a.outputs.x'], tensorMap: { 'a.outputs.x': 'y' }, joinWindowMs: 0, inputsJoin: 'ANY' },
      ],
      output: { steps: ['b'], stepsJoin: 'OUTER', joinWindowMs: 20 },
      kubernetesMeta: { namespace: 'ns', generation: 1 },
      allowCycles: true,
    } as const
    await loadPipeline(spec)
    await loadPipeline(spec)
    const told = await updates.until(({ versions }) => versions[0]?.state?.reason.includes('gateway') === true)
    expect(told).toMatchObject({
      pipelineName: 'joined',
      operation: 'PipelineCreate',
      versions: [
        {
          pipeline: { ...spec, version: 1, kubernetesMeta: { namespace: 'ns', generation: '1' } },
          state: { pipelineVersion: 1, status: 'PipelineCreate', modelsReady: false },
        },
      ],
    })
    await loadPipeline({ ...spec, allowCycles: false, kubernetesMeta: { namespace: 'ns', generation: 2 } })
    const ask = (allVersions: boolean) => all(api.PipelineStatus({ name: 'joined', allVersions }))
    expect((await ask(false))[0]?.versions.map(({ pipeline: told }) => told?.version)).toEqual([2])
    expect((await ask(true))[0]?.versions.map(({ pipeline: told }) => told?.version)).toEqual([1, 2])
    await grpcCall((done) => api.UnloadPipeline({ name: 'joined' }, done))
    const gone = await updates.until(({ versions }) => versions[0]?.state?.status === 'PipelineTerminated')
    expect(gone).toMatchObject({ pipelineName: 'joined', operation: 'PipelineDelete' })
    await refused(all(api.PipelineStatus({ name: 'joined' })), 'joined')
    expect(await all(api.PipelineStatus({}))).toEqual([])
  })

  it('starts, tells and stops experiments', async () => {
    scene = await scenes.start()
    const { api } = scene.rig
    const updates = collect(api.SubscribeExperimentStatus({ subscriberName: 'test' }))
    const message = {
      name: 'ab',
      default: 'a',
      candidates: [
        { name: 'a', weight: 90 },
        { name: 'b', weight: 10 },
      ],
      mirror: { name: 'c', percent: 20 },
      kubernetesMeta: { namespace: 'ns', generation: 1 },
    }
    await start(message)
    const told = await updates.until(({ statusDescription }) => statusDescription.includes('not ready'))
    expect(told).toMatchObject({
      experimentName: 'ab',
      active: false,
      candidatesReady: false,
      mirrorReady: false,
      kubernetesMeta: { namespace: 'ns', generation: '1' },
    })
    expect((await scene.rig.admin.get('Experiment', 'ab')).resource.spec).toEqual({
      default: 'a',
      candidates: message.candidates,
      mirror: message.mirror,
    })
    expect(await all(api.ExperimentStatus({ name: 'ab' }))).toHaveLength(1)
    await grpcCall((done) => api.StopExperiment({ name: 'ab' }, done))
    await updates.until(({ statusDescription }) => statusDescription === 'experiment stopped')
    await refused(all(api.ExperimentStatus({ name: 'ab' })), 'ab')
  })

  it('refuses for good what cannot be, and names every problem', async () => {
    scene = await scenes.start()
    const { api } = scene.rig
    for (const path of ['spec.steps[0].inputs', 'spec.output.steps'])
      await refused(loadPipeline({ name: 'p', steps: [{ name: 'a', inputs: [''] }], output: { steps: ['x'] } }), path)
    await refused(loadPipeline({ name: 'p', steps: [] }), 'spec.steps')
    await refused(loadPipeline({ name: 'Not.Good', steps: [{ name: 'a' }] }), 'metadata.name')
    const candidates = [
      { name: 'a', weight: 1 },
      { name: 'a', weight: 1 },
    ]
    for (const path of ['spec.default', 'spec.candidates[1].name', 'spec.mirror.name'])
      await refused(start({ name: 'e', default: 'c', candidates, mirror: { name: 'a', percent: 10 } }), path)
    await refused(start({ name: 'e', candidates: [{ name: 'a', weight: 0 }] }), 'sum up to 0')
    await refused(start({ name: 'e', mirror: { name: 'a', percent: 101 } }), 'at most 100')
    await start({ name: 'first', default: 'a', candidates: [{ name: 'a', weight: 1 }] })
    await refused(start({ name: 'second', default: 'a', candidates: [{ name: 'a', weight: 1 }] }), 'experiment first')
    await refused(
      grpcCall((done) => api.UnloadPipeline({ name: 'none' }, done)),
      'none',
    )
    await refused(
      grpcCall((done) => api.StopExperiment({ name: 'none' }, done)),
      'none',
    )
  })
})
