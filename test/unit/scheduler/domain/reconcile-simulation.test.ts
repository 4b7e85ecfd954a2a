/**
 * Random histories of users, agents, servers and an Envoy that lags, with the invariants checked at every step. A history that
 * breaks one is shrunk by fast-check to the few steps that matter.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ModelDocument, ReplicaKey, RouteDocument } from '../../../../scheduler/domain/documents.ts'
import { isReady } from '../../../../scheduler/domain/copy.ts'
import { resolveRollingUpdate } from '../../../../scheduler/domain/reconcile/rolling-update.ts'
import { sameValue } from '../../../../scheduler/domain/same-value.ts'
import { sharesOf } from '../../../../scheduler/routing/route.ts'
import { parseInternalName } from '../../../../scheduler/domain/names.ts'
import { createSchedulerScene, type SchedulerScene } from '../../../support/scheduler-scene.ts'

const MODELS = ['iris', 'wine'] as const
const REPLICAS: readonly ReplicaKey[] = ['s/0', 's/1', 's/2', 't/0', 't/1']

const model = fc.constantFrom(...MODELS)
const replica = fc.constantFrom(...REPLICAS)
const seldom = fc.integer({ min: 0, max: 4 }).map((value) => value === 0)
const kind = <Kind extends string>(name: Kind) => fc.constant(name)

const rollingUpdate = fc.constantFrom(
  { maxSurge: 1, maxUnavailable: 0 },
  { maxSurge: 0, maxUnavailable: 1 },
  { maxSurge: '50%', maxUnavailable: '50%' },
  { maxSurge: 0, maxUnavailable: '100%' },
)

const operation = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind('apply'),
      model,
      replicas: fc.integer({ min: 0, max: 3 }),
      minReplicas: fc.constantFrom(0, 1),
      uri: fc.integer({ min: 1, max: 3 }),
      rollingUpdate: fc.option(rollingUpdate, { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('delete'), model }) },
  { weight: 12, arbitrary: fc.record({ kind: kind('agentActs'), replica, fails: seldom }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind('health'),
      replica,
      to: fc.constantFrom('serving' as const, 'reloading' as const, 'down' as const),
      fails: seldom,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind('agent'),
      replica,
      to: fc.constantFrom('connected' as const, 'lost' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('drain'), replica, draining: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ kind: kind('envoyActs'), commits: fc.integer({ min: 1, max: 10 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('envoyConnects'), connected: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: kind('time'), ms: fc.constantFrom(100, 1_000, 2_000, 61_000) }) },
  { weight: 12, arbitrary: fc.record({ kind: kind('reconcile'), model }) },
)
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never

interface Simulation {
  readonly scene: SchedulerScene
  /** What Envoy follows. */
  readonly followed: Map<string, RouteDocument>
  readonly published: { revision: number; model: string; route: RouteDocument | undefined }[]
  /** `behind`: it is back, and follows what it followed when it went until it has seen what it missed. */
  connection: 'current' | 'gone' | 'behind'
  ackedRevision: number
}

function createSimulation(): Simulation {
  const scene = createSchedulerScene()
  scene.envoy.acked = 0
  for (const key of REPLICAS) scene.addReplica(key)
  return { scene, followed: new Map(), published: [], connection: 'current', ackedRevision: 0 }
}

function act(simulation: Simulation, step: Operation): void {
  const { scene } = simulation
  switch (step.kind) {
    case 'apply': {
      const known = scene.cluster.model(step.model)
      if (known?.deleted === true) return // the API answers MODEL_TERMINATING
      const { replicas, minReplicas } = step
      scene.apply({
        name: step.model,
        replicas: Math.max(replicas, minReplicas),
        minReplicas,
        storageUri: `/models/${String(step.uri)}`,
        ...(step.rollingUpdate === undefined ? {} : { rollingUpdate: step.rollingUpdate }),
      })
      return
    }
    case 'delete':
      if (scene.cluster.model(step.model) !== undefined) scene.remove(step.model)
      return
    case 'agentActs':
      agentActs(simulation, step.replica, step.fails)
      return
    case 'health':
      setHealth(simulation, step.replica, step.to, step.fails)
      return
    case 'agent':
      scene.changeReplica(step.replica, {
        agent: step.to === 'lost' ? { kind: 'lost', sinceMs: scene.clock.nowMs } : { kind: 'connected' },
      })
      return
    case 'drain':
      scene.changeReplica(step.replica, { draining: step.draining })
      return
    case 'envoyActs':
      envoyActs(simulation, step.commits)
      return
    case 'envoyConnects':
      if (!step.connected) simulation.connection = 'gone'
      else if (simulation.connection === 'gone') simulation.connection = 'behind'
      tellAcks(simulation)
      return
    case 'time':
      scene.clock.nowMs += step.ms
      return
    case 'reconcile':
      reconcile(simulation, step.model)
      return
  }
}

/** The agent does one thing it was told: loads what is missing, or unloads what is not wanted any more. */
function agentActs({ scene, followed, connection }: Simulation, replica: ReplicaKey, fails: boolean): boolean {
  const document = scene.cluster.replica(replica)
  if (document?.agent.kind !== 'connected' || document.health.kind === 'down') return false
  const desired = scene.cluster.desiredFor(replica)
  const due = desired.find(({ internalName, attempt }) => {
    const observed = scene.cluster.observed(replica, internalName)
    return observed?.state !== 'Loaded' && !(observed?.state === 'LoadFailed' && observed.attempt >= attempt)
  })
  if (due !== undefined) {
    scene.report(replica, due.internalName, fails ? 'LoadFailed' : 'Loaded', { attempt: due.attempt })
    return true
  }
  for (const [name, observed] of scene.cluster.observedOn(replica)) {
    if (desired.some(({ internalName }) => internalName === name)) continue
    const { model, version } = parseInternalName(name)
    const route = followed.get(model)
    const isNamed = shares(route).some((share) => share.version === version && share.replicas.includes(replica))
    if (observed.state === 'Loaded' && connection === 'current')
      expect(isNamed, `I3: ${name} on ${replica} unloaded while Envoy names it`).toBe(false)
    scene.commit({ kind: 'observed', replica, name, document: undefined })
    return true
  }
  return false
}

/** A server that restarts has lost its models; its agent says `serving` only when each is loaded again or has failed. */
function setHealth({ scene }: Simulation, key: ReplicaKey, to: 'serving' | 'reloading' | 'down', fails: boolean): void {
  const before = scene.cluster.replica(key)?.health.kind
  if (before === to) return
  if (to === 'down') {
    scene.changeReplica(key, { health: { kind: 'down', sinceMs: scene.clock.nowMs, reason: 'refused' } })
    return
  }
  if (scene.cluster.replica(key)?.agent.kind === 'lost') return // nobody would say so
  const state = to === 'reloading' ? 'Loading' : fails ? 'LoadFailed' : 'Loaded'
  for (const { internalName, attempt } of scene.cluster.desiredFor(key))
    scene.report(key, internalName, state, { attempt })
  scene.changeReplica(key, { health: { kind: to } })
}

function envoyActs(simulation: Simulation, commits: number): void {
  const { scene, followed, published } = simulation
  if (simulation.connection === 'gone') return
  for (let count = 0; count < commits; count += 1) {
    const next = published.shift()
    if (next === undefined) break
    if (next.route === undefined) followed.delete(next.model)
    else followed.set(next.model, next.route)
    simulation.ackedRevision = next.revision
  }
  if (published.length === 0) {
    simulation.ackedRevision = scene.revision()
    simulation.connection = 'current'
  }
  tellAcks(simulation)
}

function tellAcks({ scene, connection, ackedRevision }: Simulation): void {
  scene.envoy.acked = connection === 'gone' ? 'no-node' : ackedRevision
}

function reconcile(simulation: Simulation, name: string): boolean {
  const { scene } = simulation
  const before = scene.cluster.model(name)
  if (before === undefined) return false
  const result = scene.step(name)
  const after = scene.cluster.model(name)
  if (result.document === undefined) return false
  checkRoute(simulation, before, after)
  const isSameRoute = sameValue(shares(before.route), shares(after?.route))
  if (!isSameRoute) simulation.published.push({ revision: scene.revision(), model: name, route: after?.route })
  return true
}

function checkRoute(
  { scene, followed, connection }: Simulation,
  before: ModelDocument,
  after: ModelDocument | undefined,
): void {
  const isMeantToServe = after !== undefined && !after.deleted && after.deployment.replicas > 0
  if (isMeantToServe && before.route !== undefined)
    expect(after.route, 'a model that had a route keeps one').toBeDefined()
  if (after?.route === undefined) return
  const { route } = after
  const version = after.versions.find((candidate) => candidate.version === route.version)
  expect(version, 'the route names a version that exists').toBeDefined()
  if (version === undefined) return
  checkNext(scene, before, after, route)
  const isSwitch = before.route?.version !== route.version
  for (const key of route.replicas) {
    if (!isSwitch && before.route?.replicas.includes(key) === true) continue
    expect(isReady(after, version, key, scene.cluster), `I1: ${key} enters the route loaded`).toBe(true)
  }
  const old = before.versions.find((candidate) => candidate.version === before.route?.version)
  if (isSwitch && before.route !== undefined && old !== undefined) {
    const isOldAnswered = old.assigned.some((key) => isReady(before, old, key, scene.cluster))
    const { replicas, rollingUpdate } = after.deployment
    const had = before.route.had ?? before.route.replicas.length
    const lack = rollingUpdate === undefined ? 0 : resolveRollingUpdate(rollingUpdate, replicas).unavailable
    const needed = isOldAnswered ? Math.min(replicas, had) - lack : 1
    expect(route.replicas.length, 'I5: as many as the old version had').toBeGreaterThanOrEqual(needed)
  }
  if (after.status.state === 'ModelAvailable' && before.status.state !== 'ModelAvailable' && connection !== 'gone')
    expect(followed.get(after.name)?.version, 'I2: Available means that Envoy follows this version').toBe(route.version)
}

const shares = (route: RouteDocument | undefined) => (route === undefined ? [] : sharesOf(route))

/** I5: in a rolling update traffic goes by ready replicas, and no more copies leave than may be missing. */
function checkNext(scene: SchedulerScene, before: ModelDocument, after: ModelDocument, route: RouteDocument): void {
  const { next } = route
  const wanted = after.versions.at(-1)
  const old = after.versions.find((version) => version.version === route.version)
  if (next === undefined || wanted === undefined || old === undefined) return
  expect(next.version, 'I5: only the wanted version takes a share').toBe(wanted.version)
  expect(after.deployment.rollingUpdate, 'I5: only in a rolling update').toBeDefined()
  for (const key of next.replicas)
    if (before.route?.next?.replicas.includes(key) !== true)
      expect(isReady(after, wanted, key, scene.cluster), `I1: ${key} enters the route loaded`).toBe(true)
  const ready = next.replicas.filter((key) => isReady(after, wanted, key, scene.cluster))
  expect(next.weight, 'I5: in proportion to ready replicas').toBe(ready.length)
  const { replicas, rollingUpdate } = after.deployment
  if (rollingUpdate === undefined || before.route?.version !== route.version) return
  const { unavailable } = resolveRollingUpdate(rollingUpdate, replicas)
  const served = (key: ReplicaKey): boolean => isReady(after, old, key, scene.cluster)
  const left = before.route.replicas.filter((key) => served(key) && !route.replicas.includes(key)).length
  const staying = route.replicas.filter(served).length + next.weight
  const had = route.had ?? 0
  if (left > 0 && old.unplaced === undefined)
    expect(staying, 'no more are missing than may be').toBeGreaterThanOrEqual(Math.min(replicas, had) - unavailable)
}

/** Everything is well again: within a bounded number of rounds nothing is left to do. */
function comeToRest(simulation: Simulation): void {
  const { scene } = simulation
  if (simulation.connection === 'gone') simulation.connection = 'behind'
  for (const key of REPLICAS) {
    scene.changeReplica(key, { agent: { kind: 'connected' }, draining: false })
    setHealth(simulation, key, 'down', false)
    setHealth(simulation, key, 'serving', false)
  }
  for (let round = 0; round < 60; round += 1) {
    let changed = false
    for (const model of MODELS) changed = reconcile(simulation, model) || changed
    for (const key of REPLICAS) while (agentActs(simulation, key, false)) changed = true
    envoyActs(simulation, 1_000)
    scene.clock.nowMs += 61_000
    if (!changed && round > 3) return
  }
  throw new Error(`never at rest: ${JSON.stringify([...scene.cluster.models()])}`)
}

function checkRest({ scene, followed }: Simulation): void {
  for (const name of MODELS) {
    const model = scene.cluster.model(name)
    if (model === undefined) {
      expect(followed.get(name), `${name} is gone from Envoy`).toBeUndefined()
      continue
    }
    expect(model.deleted, 'a deleted record goes').toBe(false)
    expect(model.versions, `one version of ${name} is left`).toHaveLength(1)
    const [version] = model.versions
    expect(version?.leaving).toEqual({})
    if (model.deployment.replicas === 0) {
      expect(model.status.state).toBe('ModelScaledDown')
      expect(version?.assigned).toEqual([])
      continue
    }
    expect(model.status, JSON.stringify(model)).toMatchObject({
      state: 'ModelAvailable',
      availableReplicas: model.deployment.replicas,
    })
    expect(followed.get(name)?.replicas).toEqual(version?.assigned)
    expect(new Set(version?.assigned.map((key) => key.split('/')[0])).size, 'one server').toBe(1)
  }
  for (const key of REPLICAS) {
    const desired = scene.cluster.desiredFor(key).map(({ internalName }) => internalName)
    expect([...scene.cluster.observedOn(key).keys()].toSorted()).toEqual(desired.toSorted())
  }
}

test('whatever happens, the invariants hold and everything comes to rest as users asked', () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 20, maxLength: 150 }), (steps) => {
      const simulation = createSimulation()
      for (const step of steps) act(simulation, step)
      comeToRest(simulation)
      checkRest(simulation)
    }),
    { numRuns: 300 },
  )
}, 30_000)

const rollingStep = fc.oneof(
  { weight: 20, arbitrary: fc.record({ kind: kind('agentActs'), replica, fails: fc.constant(false) }) },
  { weight: 20, arbitrary: fc.record({ kind: kind('reconcile'), model: fc.constant('iris' as const) }) },
  { weight: 10, arbitrary: fc.record({ kind: kind('envoyActs'), commits: fc.integer({ min: 1, max: 10 }) }) },
  { weight: 6, arbitrary: fc.record({ kind: kind('time'), ms: fc.constantFrom(100, 1_000, 2_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('agentActs'), replica, fails: fc.constant(true) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: kind('health'),
      replica,
      to: fc.constantFrom('serving' as const, 'down' as const),
      fails: fc.constant(false),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: kind('apply'),
      model: fc.constant('iris' as const),
      replicas: fc.integer({ min: 1, max: 3 }),
      minReplicas: fc.constant(0),
      uri: fc.integer({ min: 1, max: 3 }),
      rollingUpdate,
    }),
  },
)

test('a rolling update keeps the invariants whatever fails on its way, and ends', () => {
  let shared = 0
  fc.assert(
    fc.property(rollingUpdate, fc.array(rollingStep, { minLength: 30, maxLength: 150 }), (how, steps) => {
      const simulation = createSimulation()
      const apply = { kind: 'apply', model: 'iris', minReplicas: 0, rollingUpdate: how } as const
      act(simulation, { ...apply, replicas: 3, uri: 1 })
      comeToRest(simulation)
      act(simulation, { ...apply, replicas: 3, uri: 2 })
      for (const step of steps) {
        act(simulation, step)
        shared += Number(simulation.scene.cluster.model('iris')?.route?.next !== undefined)
      }
      comeToRest(simulation)
      checkRest(simulation)
    }),
    { numRuns: 100 },
  )
  expect(shared, 'traffic was shared at all').toBeGreaterThan(300)
}, 30_000)
