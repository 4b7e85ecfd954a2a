/** `dataPath: agent`: from what users write to the endpoints that Envoy is told of. */
import { describe, expect, test } from 'vitest'
import { parseResource } from '../../../api/resources/resource.ts'
import type { ReplicaKey, ServerDocument } from '../../../scheduler/domain/documents.ts'
import { parseServerDraft } from '../../../scheduler/domain/validate.ts'
import { planApplyResource } from '../../../scheduler/operations/apply-resource.ts'
import { planApplyServer } from '../../../scheduler/operations/changes.ts'
import { createRoutingProjection } from '../../../scheduler/routing/projection.ts'
import { createSchedulerScene, GRACE_MS, type SchedulerScene } from '../../support/scheduler-scene.ts'

const PROXY = { restPort: 9_104, grpcPort: 9_105 }

function meshOf(replicas: number, server: Partial<ServerDocument> = {}): SchedulerScene {
  const scene = createSchedulerScene()
  scene.addServer('s', server)
  for (let index = 0; index < replicas; index += 1)
    scene.addReplica(`s/${index}`, { nameSource: 'message', proxy: PROXY })
  return scene
}
const loseAgent = (scene: SchedulerScene, key: ReplicaKey): void => {
  scene.changeReplica(key, { agent: { kind: 'lost', sinceMs: scene.clock.nowMs } })
}
/** What Envoy stands with. */
const routing = (scene: SchedulerScene) => createRoutingProjection(scene.cluster).full(scene.revision())
const setIdOf = (scene: SchedulerScene) =>
  routing(scene).upsertRoutes.find(({ target }) => target === 'iris')?.destinations[0]?.endpointSetId

describe('the data path', () => {
  test.each([
    ['neither says anything', undefined, undefined, 's/0'],
    ['the server says agent', 'agent', undefined, 's/0@agent'],
    ['the model says agent', undefined, 'agent', 's/0@agent'],
    ['the model says direct and its server agent', 'agent', 'direct', 's/0'],
  ] as const)('when %s', (_, ofServer, ofModel, setId) => {
    const scene = meshOf(1, ofServer === undefined ? {} : { dataPath: ofServer })
    scene.apply({ name: 'iris', ...(ofModel === undefined ? {} : { dataPath: ofModel }) })
    scene.run('iris')
    expect(setIdOf(scene)).toBe(setId)
  })

  test('through the agents names their proxies, which read the header whatever their server does', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 2, dataPath: 'agent' })
    scene.run('iris')
    expect(routing(scene).upsertEndpointSets).toContainEqual({
      id: 's/0+s/1@agent',
      nameSource: 'header',
      endpoints: ['s/0', 's/1'].map((key) => ({
        id: `${key}@agent`,
        address: '127.0.0.1',
        ...PROXY,
        health: 'healthy',
      })),
    })
  })

  test('is direct while an agent has no proxy', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.apply({ name: 'iris', dataPath: 'agent' })
    expect(scene.run('iris').status.state).toBe('ModelAvailable')
    expect(setIdOf(scene)).toBe('s/0')
  })

  test('changes by a new route of the same version, ACKed before the old set goes, Available all the while', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    const projection = createRoutingProjection(scene.cluster)
    projection.full(scene.revision())
    scene.apply({ name: 'iris', dataPath: 'agent' })
    scene.envoy.acked = scene.revision()
    const before = scene.model('iris')
    const after = scene.settle('iris')
    expect(after.versions.map(({ version }) => version)).toEqual([1])
    expect(after.route).toMatchObject({ version: 1, replicas: ['s/0'], dataPath: 'agent' })
    expect(after.route?.ackedAtMs).toBeUndefined()
    expect(after.status).toMatchObject({ state: 'ModelAvailable', availableReplicas: 1 })
    const change = projection.project([{ kind: 'model', name: 'iris', before, after: scene.model('iris') }], 99)
    expect(change).toMatchObject({
      upsertEndpointSets: [{ id: 's/0@agent' }],
      removeEndpointSetIds: ['s/0'],
    })
  })

  test('of a server changes the routes of its models', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.addServer('s', { dataPath: 'agent' })
    expect(scene.settle('iris').route?.dataPath).toBe('agent')
  })
})

describe('a Server', () => {
  const applied = (scene: SchedulerScene, spec: object): string => {
    const head = { apiVersion: 'mlops.seldon.io/v1alpha1', kind: 'Server', metadata: { name: 's' } }
    const plan = planApplyResource(scene.cluster, parseResource({ ...head, spec }), 0, {
      nowMs: scene.clock.nowMs,
      uid: 'u',
    })
    scene.commit(...plan.writes)
    return plan.answer
  }

  test('keeps its data path until a manifest says otherwise, whatever the compatible API notifies', () => {
    const scene = createSchedulerScene()
    expect(applied(scene, { replicas: 1, dataPath: 'agent' })).toBe('CREATED')
    scene.commit(...planApplyServer(scene.cluster, parseServerDraft({ name: 's', replicas: 2 })).writes)
    expect(scene.cluster.server('s')).toMatchObject({ expectedReplicas: 2, dataPath: 'agent' })
    expect(applied(scene, { replicas: 2 })).toBe('CHANGED')
    expect(scene.cluster.server('s')?.dataPath).toBeUndefined()
    expect(applied(scene, { replicas: 2, dataPath: 'direct' })).toBe('CHANGED') // as its manifest is kept
    expect(applied(scene, { replicas: 2, dataPath: 'direct' })).toBe('UNCHANGED')
  })

  test('with a data path that is none is refused by the field', () => {
    expect(() => applied(createSchedulerScene(), { dataPath: 'proxy' })).toThrow(/spec\.dataPath/)
  })
})

describe('a lost agent', () => {
  test('takes its proxy along and leaves direct sets as they are', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 2, dataPath: 'agent' })
    scene.apply({ name: 'wine', replicas: 2 })
    scene.run('iris')
    scene.run('wine')
    const projection = createRoutingProjection(scene.cluster)
    projection.full(scene.revision())
    const before = scene.cluster.replica('s/0')
    loseAgent(scene, 's/0')
    const lost = scene.cluster.replica('s/0')
    const change = projection.project([{ kind: 'replica', name: 's/0', before, after: lost }], scene.revision())
    expect(change.upsertEndpointSets).toMatchObject([
      {
        id: 's/0+s/1@agent',
        endpoints: [
          { id: 's/0@agent', health: 'unhealthy' },
          { id: 's/1@agent', health: 'healthy' },
        ],
      },
    ])
    expect(scene.settle('iris').status.availableReplicas).toBe(1)
    expect(scene.settle('wine').status.availableReplicas).toBe(2)
  })

  test('with the only copy of a model on its path has the model replaced at once, on a direct path after the grace', () => {
    for (const [dataPath, waits] of [
      ['agent', 0],
      ['direct', GRACE_MS],
    ] as const) {
      const scene = meshOf(2)
      scene.apply({ name: 'iris', dataPath })
      expect(scene.run('iris').route?.replicas).toEqual(['s/0'])
      loseAgent(scene, 's/0')
      if (waits > 0) expect(scene.settle('iris').versions[0]?.assigned).toEqual(['s/0'])
      scene.clock.nowMs += waits
      expect(scene.settle('iris').versions[0]?.assigned, dataPath).toContain('s/1')
    }
  })
})
