/** The compatible API as its clients see it: statuses, subscriptions, errors. */
import type { ServiceError } from '@grpc/grpc-js'
import { credentials } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import type { ModelStatusResponse__Output } from '../../api/generated/seldon/mlops/scheduler/ModelStatusResponse.ts'
import type { ServerStatusResponse__Output } from '../../api/generated/seldon/mlops/scheduler/ServerStatusResponse.ts'
import { HealthCheckService } from '../../api/grpc.ts'
import { all } from '../support/collect-stream.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'

const FAILED_PRECONDITION = 9
const UNIMPLEMENTED = 12
const ABORTED = 10

const scenes = useLiveScenes()
let scene: LiveScene
const { collect } = scenes

const load = (name: string, uri = '/models/iris', replicas = 1) =>
  grpcCall((done) =>
    scene.rig.api.LoadModel(
      {
        model: {
          meta: { name, kubernetesMeta: { namespace: 'ns', generation: 1 } },
          modelSpec: { uri, requirements: ['onnx'], parameters: [{ name: 'a', value: 'b' }] },
          deploymentSpec: { replicas },
        },
      },
      done,
    ),
  )
const unload = (name: string) => grpcCall((done) => scene.rig.api.UnloadModel({ model: { name } }, done))

const stateOf = (message: ModelStatusResponse__Output): string | undefined => message.versions[0]?.state?.state

describe('removing much at once', () => {
  it('is put off until what was removed before is gone (I9)', async () => {
    scene = await scenes.start()
    scene.agent()
    const envoy = scene.envoy()
    const names = Array.from({ length: 20 }, (_, index) => `m${String(index)}`)
    for (const name of names) await load(name)
    for (const name of names) await scene.rig.untilModel(name, ({ state }) => state === 'ModelAvailable')
    envoy.withhold() // what is removed stays under way
    for (const name of names.slice(0, 10)) await unload(name)
    await expect(unload('m10')).rejects.toMatchObject({
      code: ABORTED,
      details: expect.stringContaining('ask again when the others are gone') as string,
    })
    envoy.release()
    for (const name of names.slice(0, 10)) await scene.rig.untilGone(name)
    await unload('m10')
  })
})

describe('models', () => {
  it('are loaded, told and unloaded in the words of the compatible API', async () => {
    scene = await scenes.start()
    scene.agent()
    scene.envoy()
    const updates = collect(scene.rig.api.SubscribeModelStatus({ subscriberName: 'test' }))
    await load('iris')
    const available = await updates.until((message) => stateOf(message) === 'ModelAvailable')
    expect(available).toMatchObject({
      modelName: 'iris',
      deleted: false,
      versions: [
        {
          version: 1,
          serverName: 'embedded',
          kubernetesMeta: { namespace: 'ns', generation: '1' },
          modelReplicaState: { 0: { state: 'Available' } },
          state: { availableReplicas: 1, unavailableReplicas: 0 },
          modelDefn: {
            meta: { name: 'iris' },
            modelSpec: { uri: '/models/iris', parameters: [{ name: 'a', value: 'b' }] },
          },
        },
      ],
    })
    await unload('iris')
    const gone = await updates.until((message) => stateOf(message) === 'ModelTerminated')
    expect(gone).toMatchObject({ modelName: 'iris', deleted: true })
    await expect(all(scene.rig.api.ModelStatus({ model: { name: 'iris' } }))).rejects.toMatchObject({
      code: FAILED_PRECONDITION,
    })
  })

  it('are told to a new subscriber as they are now', async () => {
    scene = await scenes.start()
    await load('a')
    await load('b')
    for (const name of ['a', 'b']) await scene.rig.untilModel(name, ({ state }) => state === 'ScheduleFailed')
    const updates = collect(scene.rig.api.SubscribeModelStatus({ subscriberName: 'late' }))
    await updates.until((message) => message.modelName === 'a')
    await updates.until((message) => message.modelName === 'b')
    expect(updates.messages).toHaveLength(2)
  })

  it('with every version when that is asked for', async () => {
    scene = await scenes.start()
    const agent = scene.agent({ onLoad: ({ version }) => (version === 1 ? 'loaded' : 'later') })
    scene.envoy()
    await load('iris')
    const updates = collect(scene.rig.api.SubscribeModelStatus({ subscriberName: 'test' }))
    await updates.until((message) => stateOf(message) === 'ModelAvailable')
    await load('iris', '/models/other')
    await agent.until((message) => message.desired?.models.some(({ version }) => version === 2) === true)
    const ask = (allVersions: boolean) => all(scene.rig.api.ModelStatus({ model: { name: 'iris' }, allVersions }))
    expect((await ask(false))[0]?.versions.map(({ version }) => version)).toEqual([2])
    expect((await ask(true))[0]?.versions.map(({ version, state }) => [version, state?.state])).toEqual([
      [1, 'ModelAvailable'],
      [2, 'ModelProgressing'],
    ])
  })
})

describe('servers', () => {
  it('are notified, told and subscribed to', async () => {
    scene = await scenes.start()
    const updates = collect(scene.rig.api.SubscribeServerStatus({ subscriberName: 'test' }))
    await grpcCall((done) =>
      scene.rig.api.ServerNotify(
        { servers: [{ name: 'embedded', expectedReplicas: 2, shared: true }], isFirstSync: true },
        done,
      ),
    )
    await updates.until(({ expectedReplicas, availableReplicas }) => expectedReplicas === 2 && availableReplicas === 0)
    scene.agent()
    const status = await updates.until(({ availableReplicas }) => availableReplicas === 1)
    expect(status).toMatchObject<Partial<ServerStatusResponse__Output>>({
      serverName: 'embedded',
      type: 'StatusUpdate',
      resources: [
        {
          replicaIdx: 0,
          totalMemoryBytes: '1000000',
          availableMemoryBytes: '1000000',
          numLoadedModels: 0,
          overCommitPercentage: 0,
        },
      ],
    })
    expect(await all(scene.rig.api.ServerStatus({ name: 'embedded' }))).toHaveLength(1)
    await expect(all(scene.rig.api.ServerStatus({ name: 'none' }))).rejects.toMatchObject({ code: FAILED_PRECONDITION })
  })
})

describe('the handshake', () => {
  it('asks for servers first, then for what stands on them', async () => {
    scene = await scenes.start()
    const events = collect(scene.rig.api.SubscribeControlPlane({ subscriberName: 'operator' }))
    await events.until(({ event }) => event === 'SEND_PIPELINES')
    expect(events.messages.map(({ event }) => event)).toEqual([
      'SEND_SERVERS',
      'SEND_EXPERIMENTS',
      'SEND_MODELS',
      'SEND_PIPELINES',
    ])
  })

  it('status and health are answered', async () => {
    scene = await scenes.start()
    expect(await grpcCall((done) => scene.rig.api.SchedulerStatus({}, done))).toEqual({
      applicationVersion: 'test',
      awaitedServers: [],
    })
    const health = new HealthCheckService(`127.0.0.1:${String(scene.rig.ports.grpc)}`, credentials.createInsecure())
    expect(await grpcCall((done) => health.HealthCheck({}, done))).toEqual({ ok: true })
    health.close()
  })
})

describe('what cannot be done', () => {
  const refused = (call: Promise<unknown>, code: number, text: string) =>
    expect(call).rejects.toSatisfy((error: ServiceError) => error.code === code && error.details.includes(text))

  it('is permanent for the client, and names every problem', async () => {
    scene = await scenes.start()
    const { api } = scene.rig
    const bad = { meta: { name: 'Bad_Name' }, modelSpec: { uri: '' }, deploymentSpec: { replicas: 1, minReplicas: 3 } }
    const call = grpcCall((done) => api.LoadModel({ model: bad }, done))
    await refused(call, FAILED_PRECONDITION, 'metadata.name')
    for (const path of ['metadata.name', 'spec.storageUri', 'spec.replicas'])
      await refused(
        grpcCall((done) => api.LoadModel({ model: bad }, done)),
        FAILED_PRECONDITION,
        path,
      )
    await refused(
      grpcCall((done) => api.LoadModel({}, done)),
      FAILED_PRECONDITION,
      'modelSpec',
    )
    await refused(unload('none'), FAILED_PRECONDITION, 'none')
    await refused(
      grpcCall((done) => api.UnloadModel({}, done)),
      FAILED_PRECONDITION,
      'does not exist',
    )
    expect(await all(api.ModelStatus({}))).toEqual([])
  })

  it('and is of gateways that are not ours answers UNIMPLEMENTED', async () => {
    scene = await scenes.start()
    const { api } = scene.rig
    await refused(
      grpcCall((done) => api.PipelineStatusEvent({}, done)),
      UNIMPLEMENTED,
      'gateways',
    )
    await refused(all(api.SubscribePipelineStatus({ isPipelineGateway: true })), UNIMPLEMENTED, 'gateways')
    await refused(all(api.SubscribeModelStatus({ isModelGateway: true })), UNIMPLEMENTED, 'gateways')
  })
})

describe('http', () => {
  it('tells that it lives, that it is ready, and counts', async () => {
    scene = await scenes.start()
    const get = (path: string) => fetch(`http://127.0.0.1:${String(scene.rig.ports.http)}${path}`)
    expect((await get('/healthz')).status).toBe(200)
    expect(await (await get('/readyz')).json()).toMatchObject({ status: 'ready', role: 'leading', awaited: [] })
    await load('iris')
    const metrics = await (await get('/metrics')).text()
    expect(metrics).toMatch(/^millrace_scheduler_models 1$/m)
    expect(metrics).toMatch(/^millrace_scheduler_commits_total\{outcome="committed"\} [1-9]/m)
  })
})
