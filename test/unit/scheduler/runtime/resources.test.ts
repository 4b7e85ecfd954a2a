import { describe, expect, test } from 'vitest'
import { type ModelResource, parseResource, type Resource } from '../../../../api/resources/resource.ts'
import { planApplyResource, renderPlanned } from '../../../../scheduler/operations/apply-resource.ts'
import { refuseMassRemoval } from '../../../../scheduler/operations/changes.ts'
import { toModelDraft, toModelMessage } from '../../../../scheduler/grpc/model-draft.ts'
import { toModelResource, toServerResource } from '../../../../scheduler/operations/resources.ts'
import { parseModelDraft } from '../../../../scheduler/domain/validate.ts'
import { createSchedulerScene, type SchedulerScene } from '../../../support/scheduler-scene.ts'

const full: ModelResource = {
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Model',
  metadata: { name: 'iris', namespace: 'ns', labels: { team: 'a' } },
  spec: {
    storageUri: '/models/iris',
    artifactVersion: 0,
    secretName: 'secret',
    requirements: ['onnx'],
    modelType: 'classifier',
    memory: '1Mi',
    replicas: 2,
    minReplicas: 1,
    maxReplicas: 3,
    server: 'embedded',
    logger: { percent: 10 },
    explainer: { type: 'anchor', modelRef: 'other' },
    parameters: [{ name: 'a', value: 'b' }],
    dataflow: { cleanTopicsOnDelete: true },
    timeoutMs: 50,
    dataPath: 'agent',
  },
}
const server: Resource = {
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Server',
  metadata: { name: 'embedded' },
  spec: { serverConfig: 'x', replicas: 2, podSpec: { nodeName: 'n' }, dataPath: 'agent' },
}

function apply(scene: SchedulerScene, resource: Resource, expectedGeneration = 0) {
  const plan = planApplyResource(scene.cluster, resource, expectedGeneration, {
    nowMs: scene.clock.nowMs,
    uid: 'uid',
  })
  scene.commit(...plan.writes)
  return plan.answer
}

describe('a manifest', () => {
  test('that was printed can be applied again and changes nothing', () => {
    const scene = createSchedulerScene()
    for (const resource of [full, server]) expect(apply(scene, resource)).toBe('CREATED')
    const model = scene.model('iris')
    const printed = [toModelResource(model, scene.cluster), toServerResource('embedded', scene.cluster)]
    for (const resource of printed) expect(apply(scene, parseResource(resource))).toBe('UNCHANGED')
    expect(printed[0]).toMatchObject({
      metadata: { name: 'iris', namespace: 'ns', labels: { team: 'a' }, generation: 1 },
      spec: { requirements: ['onnx', 'classifier'], memory: 1_048_576, artifactVersion: 0, dataPath: 'agent' },
    })
    expect(printed[1]).toMatchObject({ spec: { serverConfig: 'x', replicas: 2, podSpec: { nodeName: 'n' } } })
  })

  test('that changes something counts the generation, whatever generation it names', () => {
    const scene = createSchedulerScene()
    apply(scene, full)
    const changed = { ...full, metadata: { ...full.metadata, generation: 77 }, spec: { ...full.spec, timeoutMs: 60 } }
    expect(apply(scene, changed)).toBe('CHANGED')
    expect(toModelResource(scene.model('iris'), scene.cluster).metadata.generation).toBe(2)
    expect(() => apply(scene, full, 1)).toThrow('is at generation 2, not 1')
  })

  test('that is only tried is shown as it would be, and leaves nothing behind', () => {
    const scene = createSchedulerScene()
    const plan = planApplyResource(scene.cluster, full, 0, { nowMs: 0, uid: 'uid' })
    const shown = renderPlanned(scene.cluster, plan, () => toModelResource(scene.model('iris'), scene.cluster))
    expect(shown?.metadata.name).toBe('iris')
    expect(scene.cluster.model('iris')).toBeUndefined()
  })
})

test('a model goes to clients of the compatible API as it would come from them', () => {
  const scene = createSchedulerScene()
  apply(scene, full)
  const model = scene.model('iris')
  const [version] = model.versions
  if (version === undefined) throw new Error('no version')
  const message = toModelMessage(model, version)
  const back = parseModelDraft(toModelDraft(JSON.parse(JSON.stringify(withPresence(message)))))
  expect(back.spec).toEqual(version.spec)
  expect({ ...back.deployment, timeoutMs: 50, dataPath: 'agent' }).toEqual(model.deployment)
  expect(back.kubernetesMeta).toEqual({ namespace: 'ns', generation: 1 })
})

/** The markers that the decoder adds for optional fields that are there. */
function withPresence(message: ReturnType<typeof toModelMessage>) {
  const { modelSpec } = message
  return {
    ...message,
    modelSpec: {
      ...modelSpec,
      _artifactVersion: 'artifactVersion',
      _memoryBytes: 'memoryBytes',
      _server: 'server',
      modelSpec: 'explainer',
    },
  }
}

describe('the removal guard (I9)', () => {
  test('counts all deletions under way against the routes that stood before them', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0', { memoryBytes: 1_000_000 })
    const names = Array.from({ length: 60 }, (_, index) => `m${String(index)}`)
    for (const name of names) {
      scene.apply({ name, storageUri: '/m' })
      scene.run(name)
    }
    for (const name of names.slice(0, 12)) {
      refuseMassRemoval(scene.cluster, name)
      scene.remove(name)
      scene.settle(name) // its route is gone, it is not
    }
    expect(() => refuseMassRemoval(scene.cluster, 'm12')).toThrow('would remove 13 of 60 routes at once')
    for (const name of names.slice(0, 12)) scene.run(name)
    refuseMassRemoval(scene.cluster, 'm12')
  })
})
