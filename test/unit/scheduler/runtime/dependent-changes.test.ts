import { describe, expect, test } from 'vitest'
import { parseResource, type Resource } from '../../../../api/resources/resource.ts'
import { planApplyResource } from '../../../../scheduler/operations/apply-resource.ts'
import { planDeleteModel, refuseMassPipelineRemoval } from '../../../../scheduler/operations/changes.ts'
import {
  planDeleteExperiment,
  planDeletePipeline,
  planRollbackPipeline,
} from '../../../../scheduler/operations/dependent-changes.ts'
import { toExperimentResource, toPipelineResource } from '../../../../scheduler/operations/dependent-resources.ts'
import { createUid } from '../../../../scheduler/operations/uid.ts'
import { experiment, pipeline } from '../../../support/manifests.ts'
import { pipelineWith } from '../../../support/pipelines.ts'
import { createSchedulerScene, type SchedulerScene } from '../../../support/scheduler-scene.ts'

let uids = 0
const moment = (scene: SchedulerScene) => ({ nowMs: scene.clock.nowMs, uid: `uid-${String((uids += 1))}` })

function apply(scene: SchedulerScene, raw: object) {
  const resource: Resource = parseResource(raw)
  const plan = planApplyResource(scene.cluster, resource, 0, moment(scene))
  scene.commit(...plan.writes)
  return plan.answer
}
const chain = (...steps: string[]) => pipeline({ steps: steps.map((name) => ({ name })) })
const split = (...candidates: string[]) => ({ candidates: candidates.map((name) => ({ name, weight: 1 })) })

describe('a pipeline', () => {
  test('gets a version with a uid of its own for each change, and none for the same again', () => {
    const scene = createSchedulerScene()
    expect(apply(scene, chain('a'))).toBe('CREATED')
    expect(apply(scene, chain('a'))).toBe('UNCHANGED')
    expect(apply(scene, chain('a', 'b'))).toBe('CHANGED')
    const { versions } = scene.cluster.pipeline('all') ?? { versions: [] }
    expect(versions.map(({ version }) => version)).toEqual([1, 2])
    expect(new Set(versions.map(({ uid }) => uid)).size).toBe(2)
    expect(versions.at(-1)?.kubernetesMeta?.generation).toBe(2)
  })

  test('keeps its version when only labels change, and counts the generation', () => {
    const scene = createSchedulerScene()
    apply(scene, chain('a'))
    const labelled = { ...chain('a'), metadata: { name: 'all', labels: { team: 'x' } } }
    expect(apply(scene, labelled)).toBe('CHANGED')
    expect(scene.cluster.pipeline('all')).toMatchObject({
      labels: { team: 'x' },
      versions: [{ version: 1, kubernetesMeta: { generation: 2 } }],
    })
  })

  test('is not deleted with more than a fifth of all at once, unless that is said to be meant (I9)', () => {
    const scene = createSchedulerScene()
    const routed = { serving: 1, route: { sinceRevision: 1, ackedAtMs: 1 } }
    const names = Array.from({ length: 60 }, (_, index) => `p${String(index)}`)
    for (const name of names)
      scene.commit({ kind: 'pipeline', name, expectedRevision: 0, document: pipelineWith(name, routed) })
    for (const name of names.slice(0, 12)) {
      refuseMassPipelineRemoval(scene.cluster, name)
      scene.commit(...planDeletePipeline(scene.cluster, name, 5).writes)
    }
    expect(() => {
      refuseMassPipelineRemoval(scene.cluster, 'p12')
    }).toThrow('would remove 13 of 60 pipelines at once')
    scene.commit({ kind: 'pipeline', name: 'p0', expectedRevision: 0, document: undefined })
    scene.commit({ kind: 'pipeline', name: 'p1', expectedRevision: 0, document: undefined })
    refuseMassPipelineRemoval(scene.cluster, 'p12') // 11 of 58
  })

  test('keeps ten versions and goes back to one of them as a new one', () => {
    const scene = createSchedulerScene()
    for (let at = 1; at <= 12; at += 1) apply(scene, chain(`m${String(at)}`))
    expect(scene.cluster.pipeline('all')?.versions.map(({ version }) => version)).toEqual(
      Array.from({ length: 10 }, (_, index) => index + 3),
    )
    const plan = planRollbackPipeline(scene.cluster, 'all', 5, moment(scene))
    expect(plan.answer).toEqual({ fromVersion: 12, restoredVersion: 5, newVersion: 13 })
    scene.commit(...plan.writes)
    expect(scene.cluster.pipeline('all')?.versions.at(-1)?.spec.steps).toEqual([{ name: 'm5' }])
    expect(() => planRollbackPipeline(scene.cluster, 'all', 1, moment(scene))).toThrow('it can go back to 4, 5')
    expect(() => planRollbackPipeline(scene.cluster, 'none', 1, moment(scene))).toThrow('does not exist')
  })

  test('that is being deleted comes back as a version above the last', () => {
    const scene = createSchedulerScene()
    apply(scene, chain('a'))
    scene.commit(...planDeletePipeline(scene.cluster, 'all', 5).writes)
    expect(planDeletePipeline(scene.cluster, 'all', 6).writes).toEqual([])
    expect(toPipelineResource(scene.cluster.pipeline('all') ?? fail()).status?.state).toBe('PipelineTerminating')
    expect(apply(scene, chain('a'))).toBe('CREATED')
    expect(scene.cluster.pipeline('all')).toMatchObject({ deleted: false, versions: [{}, { version: 2 }] })
  })

  test('that was printed can be applied again and changes nothing', () => {
    const scene = createSchedulerScene()
    apply(scene, chain('a', 'b'))
    expect(apply(scene, toPipelineResource(scene.cluster.pipeline('all') ?? fail()))).toBe('UNCHANGED')
  })
})

describe('an experiment', () => {
  test('is replaced by what is applied under its name', () => {
    const scene = createSchedulerScene()
    expect(apply(scene, experiment(split('a', 'b')))).toBe('CREATED')
    expect(apply(scene, experiment(split('a', 'b')))).toBe('UNCHANGED')
    expect(apply(scene, experiment(split('c')))).toBe('CHANGED')
    expect(scene.cluster.experiment('ab')?.spec).toEqual(split('c'))
    expect(apply(scene, toExperimentResource(scene.cluster.experiment('ab') ?? fail()))).toBe('UNCHANGED')
  })

  test('cannot take over an endpoint that another one has, until that one goes', () => {
    const scene = createSchedulerScene()
    apply(scene, experiment({ default: 'a', ...split('a', 'b') }, 'first'))
    const second = experiment({ default: 'a', ...split('a', 'c') }, 'second')
    expect(() => apply(scene, second)).toThrow('a is the default of experiment first already')
    expect(apply(scene, experiment({ default: 'c', ...split('a', 'c') }, 'third'))).toBe('CREATED')
    const ofPipelines = { resourceType: 'pipeline', default: 'a', ...split('a') }
    expect(apply(scene, experiment(ofPipelines, 'fourth'))).toBe('CREATED') // a pipeline of that name is another thing
    scene.commit(...planDeleteExperiment(scene.cluster, 'first', 5).writes)
    expect(apply(scene, second)).toBe('CREATED')
  })

  test('keeps what it sends to from being deleted, and says that it does', () => {
    const scene = createSchedulerScene()
    for (const name of ['a', 'b', 'm', 'free']) scene.apply({ name })
    apply(scene, experiment({ ...split('a', 'b'), mirror: { name: 'm', percent: 1 } }))
    for (const name of ['a', 'b', 'm'])
      expect(() => planDeleteModel(scene.cluster, name, 5)).toThrow(`model ${name} is used by experiment ab`)
    expect(planDeleteModel(scene.cluster, 'free', 5).writes).toHaveLength(1)

    apply(scene, chain('a'))
    apply(scene, experiment({ resourceType: 'pipeline', ...split('all') }, 'of-pipelines'))
    expect(() => planDeletePipeline(scene.cluster, 'all', 5)).toThrow('pipeline all is used by experiment of-pipelines')

    scene.commit(...planDeleteExperiment(scene.cluster, 'ab', 5).writes)
    expect(planDeleteModel(scene.cluster, 'a', 5).writes).toHaveLength(1)
    expect(() => planDeleteExperiment(scene.cluster, 'none', 5)).toThrow('does not exist')
  })
})

test('a uid is twenty characters that are not repeated', () => {
  const made = Array.from({ length: 1_000 }, createUid)
  expect(new Set(made).size).toBe(1_000)
  for (const uid of made) expect(uid).toMatch(/^[0-9a-v]{20}$/)
})

function fail(): never {
  throw new Error('it is not there')
}
