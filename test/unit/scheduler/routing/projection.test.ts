import { describe, expect, test } from 'vitest'
import type { DocumentChange } from '../../../../scheduler/domain/document-change.ts'
import type { ExperimentDocument, ModelDocument, ReplicaKey } from '../../../../scheduler/domain/documents.ts'
import { toEndpointSet, toEndpointSetId } from '../../../../scheduler/routing/endpoint-set.ts'
import { createRoutingProjection, type RoutingProjection } from '../../../../scheduler/routing/projection.ts'
import { isMassRemoval } from '../../../../scheduler/routing/removal-guard.ts'
import { toRouteIr } from '../../../../scheduler/routing/route.ts'
import type { ChangeIr } from '../../../../xds/index.ts'
import { anExperiment } from '../../../support/documents.ts'
import { createSchedulerScene, type SchedulerScene } from '../../../support/scheduler-scene.ts'

interface Mesh {
  readonly scene: SchedulerScene
  readonly projection: RoutingProjection
  /** Commits a model with this route (none: a model that is not routed) and projects it. */
  readonly route: (name: string, replicas: readonly ReplicaKey[] | undefined, version?: number) => ChangeIr
  readonly project: (changes: readonly DocumentChange[]) => ChangeIr
}

function aMesh(...keys: readonly ReplicaKey[]): Mesh {
  const scene = createSchedulerScene()
  for (const key of keys) scene.addReplica(key)
  const projection = createRoutingProjection(scene.cluster)
  projection.full(scene.revision())
  const project = (changes: readonly DocumentChange[]): ChangeIr => projection.project(changes, scene.revision())
  return {
    scene,
    projection,
    project,
    route: (name, replicas, version = 1) => {
      if (scene.cluster.model(name) === undefined) scene.apply({ name })
      const { route: _, ...model } = scene.model(name)
      const document: ModelDocument =
        replicas === undefined ? model : { ...model, route: { version, replicas, sinceRevision: 0 } }
      return project(scene.commit({ kind: 'model', name, expectedRevision: 0, document }))
    },
  }
}

const setIds = (change: ChangeIr): readonly string[] => change.upsertEndpointSets.map(({ id }) => id)
const nothing = { upsertRoutes: [], removeTargets: [], upsertEndpointSets: [], removeEndpointSetIds: [] }

describe('a route', () => {
  test('names the set of its replicas and the internal name of its version', () => {
    const { scene, route } = aMesh('s/0', 's/1')
    scene.apply({ name: 'iris', timeoutMs: 500 })
    const change = route('iris', ['s/0', 's/1'], 3)
    expect(change).toEqual({
      ...nothing,
      revision: scene.revision(),
      upsertRoutes: [
        {
          target: 'iris',
          destinations: [{ endpointSetId: 's/0+s/1', internalName: 'iris_3', routeToken: ':iris_3:', weight: 1 }],
          timeoutMs: 500,
          retries: 'coded',
        },
      ],
      upsertEndpointSets: [expect.objectContaining({ id: 's/0+s/1' })],
    })
  })

  test.each([
    [['sklearn'], undefined],
    [['gpu', 'onnx'], undefined],
    [['python'], 'coded'],
    [[], 'coded'],
  ] as const)('of a model that requires %j: its 404 is %s', (requirements, retries) => {
    const { scene, route } = aMesh('s/0')
    scene.apply({ name: 'iris', requirements: [...requirements] })
    expect(route('iris', ['s/0']).upsertRoutes[0]?.retries).toBe(retries)
  })

  test('of a rolling update names both versions, each on its replicas, by what is ready', () => {
    const { scene, project } = aMesh('s/0', 's/1')
    scene.apply({ name: 'iris' })
    const next = { version: 2, replicas: ['s/1' as const], weight: 1 }
    const route = { version: 1, replicas: ['s/0' as const, 's/1' as const], next, had: 2, sinceRevision: 0 }
    const document: ModelDocument = { ...scene.model('iris'), route }
    const change = project(scene.commit({ kind: 'model', name: 'iris', expectedRevision: 0, document }))
    expect(change.upsertRoutes[0]?.destinations).toEqual([
      { endpointSetId: 's/0+s/1', internalName: 'iris_1', routeToken: ':iris_1:', weight: 2 },
      { endpointSetId: 's/1', internalName: 'iris_2', routeToken: ':iris_2:', weight: 1 },
    ])
    expect(change.upsertEndpointSets.map(({ id, endpoints }) => [id, endpoints.length])).toEqual([
      ['s/0+s/1', 2],
      ['s/1', 1],
    ])
  })

  test('of a model that is not routed is none', () => {
    const { scene } = aMesh()
    scene.apply({ name: 'iris' })
    expect(toRouteIr(scene.model('iris'))).toBeUndefined()
  })

  test('that did not change is not sent again', () => {
    const { scene, project } = aMesh('s/0')
    scene.apply({ name: 'iris' })
    scene.run('iris')
    const document = { ...scene.model('iris'), labels: { team: 'a' } }
    const first = project(scene.commit({ kind: 'model', name: 'iris', expectedRevision: 0, document }))
    expect(first.upsertRoutes).toHaveLength(1)
    const again = project(scene.commit({ kind: 'model', name: 'iris', expectedRevision: 0, document }))
    expect(again).toEqual({ ...nothing, revision: scene.revision() })
  })

  test('that is taken away is removed once, and its set goes with the last route that named it', () => {
    const { route } = aMesh('s/0')
    route('iris', ['s/0'])
    route('wine', ['s/0'])
    expect(route('iris', undefined)).toMatchObject({ removeTargets: ['iris'], removeEndpointSetIds: [] })
    expect(route('iris', undefined)).toMatchObject({ removeTargets: [] })
    expect(route('wine', undefined)).toMatchObject({ removeTargets: ['wine'], removeEndpointSetIds: ['s/0'] })
  })

  test('that moves brings its new set and lets the old one go, in one change', () => {
    const { route } = aMesh('s/0', 's/1')
    route('iris', ['s/0'])
    const change = route('iris', ['s/1'])
    expect(setIds(change)).toEqual(['s/1'])
    expect(change.removeEndpointSetIds).toEqual(['s/0'])
  })

  test('that came and went within one commit leaves no trace', () => {
    const { scene, project } = aMesh('s/0')
    scene.apply({ name: 'iris' })
    const { name } = scene.model('iris')
    const routed: ModelDocument = {
      ...scene.model('iris'),
      route: { version: 1, replicas: ['s/0'], sinceRevision: 0 },
    }
    const changes = scene.commit(
      { kind: 'model', name, expectedRevision: 0, document: routed },
      { kind: 'model', name, expectedRevision: 0, document: undefined },
    )
    expect(project(changes)).toEqual({ ...nothing, revision: scene.revision() })
  })

  test('handed from one model to another within one commit keeps its set', () => {
    const { scene, route, project } = aMesh('s/0')
    route('iris', ['s/0'])
    scene.apply({ name: 'wine' })
    const wine: ModelDocument = {
      ...scene.model('wine'),
      route: { version: 1, replicas: ['s/0'], sinceRevision: 0 },
    }
    const change = project(
      scene.commit(
        { kind: 'model', name: 'iris', expectedRevision: 0, document: undefined },
        { kind: 'model', name: 'wine', expectedRevision: 0, document: wine },
      ),
    )
    expect(change).toMatchObject({ removeTargets: ['iris'], removeEndpointSetIds: [] })
    expect(setIds(change)).toEqual(['s/0'])
  })
})

describe('an endpoint set', () => {
  test('has the same readable id whatever the order of its replicas', () => {
    expect(toEndpointSetId(['s/10', 's/2'])).toBe('s/2+s/10')
    expect(toEndpointSetId(['s/2', 's/10'])).toBe('s/2+s/10')
  })

  test('that is long has a short id of its own', () => {
    const many = Array.from({ length: 40 }, (_, index): ReplicaKey => `mlserver/${index}`)
    const id = toEndpointSetId(many)
    expect(id).toMatch(/^set-40-[0-9a-f]{16}$/)
    expect(toEndpointSetId(many.toReversed())).toBe(id)
    expect(toEndpointSetId(many.slice(1))).not.toBe(id)
  })

  test.each([
    ['serving', {}, 'healthy'],
    ['draining', { draining: true }, 'draining'],
    ['reloading', { health: { kind: 'reloading' } as const }, 'unhealthy'],
    ['down', { health: { kind: 'down', sinceMs: 0, reason: '' } as const }, 'unhealthy'],
    ['down and draining', { draining: true, health: { kind: 'down', sinceMs: 0, reason: '' } as const }, 'unhealthy'],
    ['serving without its agent', { agent: { kind: 'lost', sinceMs: 0 } as const }, 'healthy'],
  ])('marks a replica that is %s', (_, fields, health) => {
    const { scene } = aMesh('s/0')
    scene.changeReplica('s/0', fields)
    expect(toEndpointSet(['s/0'], 'direct', scene.cluster).endpoints[0]?.health).toBe(health)
  })

  test('takes the name source of its server, and leaves out a replica that is not known', () => {
    const { scene } = aMesh()
    scene.addReplica('s/1', { nameSource: 'message' })
    expect(toEndpointSet(['s/0', 's/1'], 'direct', scene.cluster)).toMatchObject({
      id: 's/0+s/1',
      nameSource: 'message',
      endpoints: [{ id: 's/1' }],
    })
  })
})

describe('a replica', () => {
  const down = { kind: 'down', sinceMs: 0, reason: 'refused' } as const

  test('that changes its health changes only the sets that hold it and the mesh, no route', () => {
    const { scene, route, project } = aMesh('s/0', 's/1')
    route('iris', ['s/0'])
    route('wine', ['s/0', 's/1'])
    route('mnist', ['s/1'])
    const document = scene.cluster.replica('s/0')
    if (document === undefined) throw new Error('no replica')
    const change = project(
      scene.commit({ kind: 'replica', name: 's/0', expectedRevision: 0, document: { ...document, health: down } }),
    )
    expect(change.upsertRoutes).toEqual([])
    expect(setIds(change)).toEqual(['_mesh', 's/0', 's/0+s/1'])
  })

  test('whose agent is lost changes nothing for Envoy', () => {
    const { scene, project } = aMesh('s/0')
    const document = scene.cluster.replica('s/0')
    if (document === undefined) throw new Error('no replica')
    const lost = { ...document, agent: { kind: 'lost', sinceMs: 5 } as const }
    expect(
      setIds(project(scene.commit({ kind: 'replica', name: 's/0', expectedRevision: 0, document: lost }))),
    ).toEqual([])
  })

  test('that joins or goes is in the mesh or is not', () => {
    const { scene, project } = aMesh('s/0')
    const joined = project(
      scene.commit({ kind: 'replica', name: 't/0', expectedRevision: 0, document: replicaOf('t/0') }),
    )
    expect(joined.upsertEndpointSets).toMatchObject([{ id: '_mesh', endpoints: [{ id: 's/0' }, { id: 't/0' }] }])
    const gone = project(scene.commit({ kind: 'replica', name: 's/0', expectedRevision: 0, document: undefined }))
    expect(gone.upsertEndpointSets).toMatchObject([{ id: '_mesh', endpoints: [{ id: 't/0' }] }])
  })

  function replicaOf(key: ReplicaKey) {
    const scene = createSchedulerScene()
    scene.addReplica(key)
    return scene.cluster.replica(key)
  }
})

describe('the full state', () => {
  test('equals what following every change adds up to, and holds the mesh', () => {
    const { scene, projection, route } = aMesh('s/0', 's/1')
    route('iris', ['s/0'])
    route('wine', ['s/0', 's/1'])
    route('mnist', ['s/1'])
    route('mnist', undefined)
    const full = createRoutingProjection(scene.cluster).full(9)
    expect(full.revision).toBe(9)
    expect(full.upsertRoutes.map(({ target }) => target)).toEqual(['_mesh', 'iris', 'wine'])
    expect(setIds(full)).toEqual(['_mesh', 's/0', 's/0+s/1'])
    expect(projection.full(9)).toEqual(full)
    expect(projection.routeCount()).toBe(2)
  })

  test('of nothing removes nothing (I9)', () => {
    expect(aMesh().projection.full(1)).toMatchObject({ removeTargets: [], removeEndpointSetIds: [] })
  })
})

describe('the removal guard (I9)', () => {
  test.each([
    [0, 0, false],
    [1, 1, false],
    [10, 10, false],
    [11, 54, true],
    [11, 55, false],
    [200, 1_000, false],
    [201, 1_000, true],
  ])('%i of %i routes at once is a mass removal: %s', (count, standing, expected) => {
    expect(isMassRemoval(count, standing)).toBe(expected)
  })
})

describe('the table of splits', () => {
  const split = (target: string, ...names: readonly string[]) => ({
    target,
    seed: 'e',
    candidates: names.map((name) => ({ target: name, weight: 1 })),
  })
  const commit = ({ scene, project }: Mesh, experiment: ExperimentDocument | undefined): ChangeIr =>
    project(
      scene.commit({ kind: 'experiment', name: experiment?.name ?? 'e', expectedRevision: 0, document: experiment }),
    )
  const routed = (...names: readonly string[]): ExperimentDocument => ({
    ...anExperiment('e', ...names),
    route: {
      resourceType: 'model',
      default: 'a',
      candidates: names.map((name) => ({ name, weight: 1 })),
      sinceRevision: 0,
    },
  })

  test('is given whole when it changed, and only then', () => {
    const mesh = aMesh('s/0')
    expect(commit(mesh, anExperiment('e', 'a', 'b')).splits).toBeUndefined()
    expect(commit(mesh, routed('a', 'b')).splits).toEqual([split('a', 'a', 'b'), split('e.experiment', 'a', 'b')])
    expect(commit(mesh, { ...routed('a', 'b'), labels: { team: 'red' } }).splits).toBeUndefined()
    expect(mesh.route('a', ['s/0']).splits).toBeUndefined()
    expect(commit(mesh, undefined).splits).toEqual([])
  })

  test('is within everything that stands, in an order that does not depend on how it came', () => {
    const mesh = aMesh('s/0')
    const other = { ...routed('c', 'd'), name: 'd', route: { ...routed('c', 'd').route, default: 'c' } }
    commit(mesh, routed('a', 'b'))
    commit(mesh, other as ExperimentDocument)
    const targets = ['c', 'd.experiment', 'a', 'e.experiment']
    expect(mesh.projection.full(1).splits?.map(({ target }) => target)).toEqual(targets)
    expect(
      createRoutingProjection(mesh.scene.cluster)
        .full(1)
        .splits?.map(({ target }) => target),
    ).toEqual(targets)
  })
})
