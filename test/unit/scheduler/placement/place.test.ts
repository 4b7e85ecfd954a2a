import { describe, expect, test } from 'vitest'
import type { ModelSpec, ReplicaKey } from '../../../../scheduler/domain/documents.ts'
import type { PlacementRequest, PlacementResult } from '../../../../scheduler/domain/placement-request.ts'
import { place } from '../../../../scheduler/placement/place.ts'
import { createSchedulerScene, type SchedulerScene } from '../../../support/scheduler-scene.ts'

const aRequest = (
  fields: Omit<Partial<PlacementRequest>, 'spec'> & { spec?: Partial<ModelSpec> } = {},
): PlacementRequest => ({
  model: 'iris',
  version: 1,
  memoryBytes: 100,
  count: 1,
  minCount: fields.count ?? 1,
  kept: [],
  excluded: new Map(),
  near: [],
  ...fields,
  spec: { storageUri: '/models/iris', requirements: [], parameters: {}, ...fields.spec },
})

/** Servers by name with their replicas' memory. */
function meshOf(servers: Readonly<Record<string, readonly number[]>>): SchedulerScene {
  const scene = createSchedulerScene()
  for (const [server, memories] of Object.entries(servers))
    memories.forEach((memoryBytes, index) => {
      scene.addReplica(`${server}/${index}`, { memoryBytes })
    })
  return scene
}

const chosen = (result: PlacementResult): readonly ReplicaKey[] | string =>
  result.kind === 'placed' ? result.replicas : result.explanation.reason

const details = (result: PlacementResult): readonly string[] =>
  result.kind === 'refused' ? result.explanation.servers.map(({ filter, detail }) => `${filter}: ${detail}`) : []

describe('the server', () => {
  test('is one that has enough replicas with room', () => {
    const { cluster } = meshOf({ server1: [200], server2: [200, 200] })
    expect(chosen(place(aRequest({ count: 2 }), cluster))).toEqual(['server2/0', 'server2/1'])
  })

  test('is refused when one of the replicas it needs has no room', () => {
    const result = place(aRequest({ count: 2 }), meshOf({ server1: [200], server2: [200, 0] }).cluster)
    expect(details(result)).toEqual([
      'replicas: has 1 suitable replica(s), 2 more are needed',
      'memory: server2/1 has 0 bytes free (0 less 0 reserved), needs 100',
    ])
  })

  test('with fewer replicas than wanted is taken when they reach the minimum, and the rest is explained', () => {
    const { cluster } = meshOf({ server1: [200], server2: [200, 200] })
    expect(place(aRequest({ count: 3, minCount: 2 }), cluster)).toMatchObject({
      kind: 'placed',
      replicas: ['server2/0', 'server2/1'],
      shortfall: { reason: expect.stringContaining('at most 2 fit') },
    })
  })

  test('that is scaled to zero is skipped', () => {
    const scene = meshOf({ server1: [200] })
    scene.addServer('server1', { expectedReplicas: 0 })
    expect(details(place(aRequest(), scene.cluster))).toEqual([
      'scaled-down: is scaled to 0 replicas: raise spec.replicas',
    ])
  })

  test('that is not shared takes only models that name it', () => {
    const scene = meshOf({ foo: [200], server1: [200] })
    scene.addServer('server1', { shared: false })
    expect(chosen(place(aRequest(), scene.cluster))).toEqual(['foo/0'])
    expect(chosen(place(aRequest({ spec: { server: 'server1' } }), scene.cluster))).toEqual(['server1/0'])
  })

  test('that a model names is the only one considered', () => {
    const { cluster } = meshOf({ foo: [200], server1: [0] })
    expect(details(place(aRequest({ spec: { server: 'server1' } }), cluster))).toEqual([
      'pinned: the model is pinned to server server1',
      'memory: server1/0 has 0 bytes free (0 less 0 reserved), needs 100',
    ])
  })

  test('of the other replicas is the only one for more of them', () => {
    const { cluster } = meshOf({ a: [200, 0], b: [200, 200] })
    const request = aRequest({ kept: ['a/0'], onServer: 'a' })
    expect(details(place(request, cluster))).toContain("own-server: the version's other replicas are on a")
  })

  test('where the version before it runs is preferred to one with more room', () => {
    const { cluster } = meshOf({ a: [200], b: [900] })
    expect(chosen(place(aRequest({ near: ['a/0'] }), cluster))).toEqual(['a/0'])
    expect(chosen(place(aRequest(), cluster))).toEqual(['b/0'])
  })

  test('without a replica is explained, and so is a mesh without servers', () => {
    const scene = createSchedulerScene()
    expect(chosen(place(aRequest(), scene.cluster))).toBe('no server is known: start a model server with its agent')
    scene.addServer('s')
    expect(details(place(aRequest(), scene.cluster))).toEqual(['connected: no replica has connected'])
  })
})

describe('the replicas', () => {
  test('with the most free memory come first, the lower index among equals', () => {
    const { cluster } = meshOf({ s: [150, 200, 175, 200] })
    expect(chosen(place(aRequest({ count: 3 }), cluster))).toEqual(['s/1', 's/2', 's/3'])
    expect(chosen(place(aRequest({ count: 1 }), cluster))).toEqual(['s/1'])
  })

  test('that are to leave, because their server was scaled down, come last; they are taken when there is no other', () => {
    const scene = meshOf({ server1: [200, 300, 400] })
    scene.addServer('server1', { expectedReplicas: 1 })
    expect(chosen(place(aRequest({ near: ['server1/2'] }), scene.cluster))).toEqual(['server1/0'])
    expect(chosen(place(aRequest({ count: 2 }), scene.cluster))).toEqual(['server1/0', 'server1/2'])
  })

  test('with fewer models come first when memory does not tell them apart', () => {
    const scene = meshOf({ s: [200, 200] })
    scene.apply({ name: 'other' })
    scene.settle('other')
    expect(scene.cluster.modelsOn('s/0').size).toBe(1)
    expect(chosen(place(aRequest({ memoryBytes: 0 }), scene.cluster))).toEqual(['s/1'])
  })

  test('that hold the version already come first, whatever their memory', () => {
    const scene = meshOf({ s: [0, 0, 500] })
    scene.report('s/0', 'iris_1', 'Loaded')
    scene.report('s/1', 'iris_1', 'Loaded')
    expect(chosen(place(aRequest({ count: 3 }), scene.cluster))).toEqual(['s/0', 's/1', 's/2'])
    expect(chosen(place(aRequest({ count: 1 }), scene.cluster))).toEqual(['s/0'])
  })

  test.each<[string, number, number, number, boolean]>([
    ['exactly enough memory', 100, 100, 0, true],
    ['memory that is not known yet', 0, 0, 0, true],
    ['half of the memory', 100, 50, 0, false],
    ['too much reserved', 100, 200, 150, false],
    ['more reserved than there is', 100, 200, 250, false],
  ])('with %s pass: need %i of %i with %i reserved is %s', (_, memoryBytes, total, reserved, passes) => {
    const scene = meshOf({ s: [10_000] })
    if (reserved > 0) {
      scene.apply({ name: 'other', memoryBytes: reserved })
      scene.settle('other')
    }
    scene.changeReplica('s/0', { memoryBytes: total })
    expect(place(aRequest({ memoryBytes }), scene.cluster).kind).toBe(passes ? 'placed' : 'refused')
  })

  test('are judged one by one by their capabilities', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0', { capabilities: ['xgboost'] })
    scene.addReplica('s/1', { capabilities: [' sklearn ', 'xgboost', 'xgboost'] })
    const request = aRequest({ spec: { requirements: ['sklearn', 'xgboost'] } })
    expect(chosen(place(request, scene.cluster))).toEqual(['s/1'])
    expect(details(place({ ...request, count: 2, minCount: 2 }, scene.cluster))).toEqual([
      'capabilities: s/0 lacks sklearn (it has xgboost)',
    ])
  })

  test('of explainers need alibi-explain', () => {
    const scene = meshOf({ s: [200] })
    const request = aRequest({ spec: { explainer: { type: 'anchor_tabular' } } })
    expect(details(place(request, scene.cluster))).toEqual(['capabilities: s/0 lacks alibi-explain (it has onnx)'])
    scene.changeReplica('s/0', { capabilities: ['alibi-explain'] })
    expect(place(request, scene.cluster).kind).toBe('placed')
  })

  test.each([
    ['draining', { draining: true }, 'is draining'],
    ['without an agent', { agent: { kind: 'lost', sinceMs: 1 } as const }, 'has lost its agent'],
    ['reloading', { health: { kind: 'reloading' } as const }, 'is loading its models again'],
    ['down', { health: { kind: 'down', sinceMs: 1, reason: 'refused' } as const }, 'does not answer (refused)'],
  ])('that are %s take nothing new', (_, fields, reason) => {
    const scene = meshOf({ s: [200] })
    scene.changeReplica('s/0', fields)
    expect(details(place(aRequest(), scene.cluster))).toEqual([`healthy: s/0 ${reason}`])
  })

  test('that are excluded say why', () => {
    const request = aRequest({ excluded: new Map([['s/0', 'failed to load it 5 times']]) })
    expect(details(place(request, meshOf({ s: [200] }).cluster))).toEqual(['excluded: s/0 failed to load it 5 times'])
  })
})

describe('replica sets', () => {
  function placeMany(scene: SchedulerScene, models: number, replicas: number): ReadonlySet<string> {
    const sets = new Set<string>()
    for (let index = 0; index < models; index += 1) {
      const name = `model-${String(index)}`
      scene.apply({ name, replicas, memoryBytes: 1 + (index % 7) })
      sets.add(scene.settle(name).versions[0]?.assigned.join('+') ?? 'none')
    }
    return sets
  }

  test('stay few: two hundred models on ten replicas need at most ten pairs, and every replica is used', () => {
    const scene = meshOf({ s: Array.from({ length: 10 }, () => 10_000) })
    const sets = placeMany(scene, 200, 2)
    expect(sets.size).toBeLessThanOrEqual(10)
    const counts = [...scene.cluster.replicas()].map(({ key }) => scene.cluster.modelsOn(key).size)
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(30)
    expect(Math.max(...counts)).toBeLessThanOrEqual(50)
  })

  test('give way when none in use fits', () => {
    const scene = meshOf({ s: [100, 100, 1_000, 1_000] })
    for (const pair of [0, 1, 2, 3]) {
      scene.apply({ name: `m-${String(pair)}`, replicas: 2, memoryBytes: 40 })
      scene.settle(`m-${String(pair)}`)
    }
    scene.apply({ name: 'big', replicas: 2, memoryBytes: 800 })
    expect(scene.settle('big').versions[0]?.assigned).toEqual(['s/2', 's/3'])
  })

  test('of one replica just balance', () => {
    const scene = meshOf({ s: [1_000, 1_000, 1_000] })
    expect(placeMany(scene, 3, 1).size).toBe(3)
  })
})
