import { expect, test } from 'vitest'
import type { ExperimentSpec } from '../../../../api/resources/experiment.ts'
import { toExperimentResource } from '../../../../scheduler/operations/dependent-resources.ts'
import { createExperimentScene } from '../../../support/experiment-scene.ts'

const SPEC: ExperimentSpec = {
  default: 'a',
  candidates: [
    { name: 'a', weight: 3 },
    { name: 'b', weight: 1 },
  ],
  mirror: { name: 'm', percent: 10 },
}

/** As `ExperimentReady CandidatesReady`: the conditions that hold. */
const holding = (status: ReturnType<typeof toExperimentResource>['status']): string =>
  (status?.conditions ?? []).flatMap(({ type, status: is }) => (is === 'True' ? [type] : [])).join(' ')

test('the conditions that users know, and the shares of now, follow what is ready', () => {
  const scene = createExperimentScene('exp', SPEC)
  const statusNow = () => toExperimentResource(scene.settle()).status
  const shares = () => statusNow()?.candidates?.map(({ share }) => share)
  expect(holding(statusNow())).toBe('')
  expect(shares()).toEqual([undefined, undefined])
  scene.model('a', 1)
  scene.model('b', 1)
  expect(holding(statusNow())).toBe('CandidatesReady')
  scene.model('m', 1)
  expect(holding(statusNow())).toBe('ExperimentReady CandidatesReady MirrorReady Ready')
  expect(statusNow()).toMatchObject({ state: 'ExperimentActive', reason: 'experiment active', active: true })
  expect(shares()).toEqual([75, 25])
  scene.model('a', 0)
  expect(holding(statusNow())).toBe('MirrorReady')
  expect(shares()).toEqual([0, 100])
  scene.model('a', 1)
  scene.model('m', 0)
  expect(holding(statusNow())).toBe('CandidatesReady')
  scene.stop()
  expect(statusNow()).toMatchObject({ state: 'ExperimentTerminating', active: false })
})
