/** `execution: topics` is accepted where it can be run. */
import { expect, test } from 'vitest'
import { createClusterState } from '../../../../scheduler/domain/cluster.ts'
import type { GatewayDocument } from '../../../../scheduler/domain/documents.ts'
import { planApplyPipeline } from '../../../../scheduler/operations/dependent-changes.ts'
import { aGateway } from '../../../support/pipelines.ts'

const input = {
  name: 'p',
  labels: {},
  spec: { steps: [{ name: 'a' }], output: { steps: ['a'] }, dataflow: { execution: 'topics' } },
} as const

const applyBeside = (...gateways: readonly GatewayDocument[]) => {
  const cluster = createClusterState()
  for (const document of gateways)
    cluster.apply({ kind: 'gateway', name: document.name, expectedRevision: 0, document })
  return planApplyPipeline(cluster, input, { nowMs: 1, uid: 'uid' }).answer.kind
}

test('a pipeline over topics is refused when no pipeline gateway has a Kafka, with field, value and fix', () => {
  expect(() => applyBeside(aGateway('a'), aGateway('b'))).toThrow(
    /spec\.dataflow\.execution: topics needs Kafka.*--kafka-bootstrap-servers.*use direct/,
  )
})

test('it is accepted when one has, and while none is known', () => {
  expect(applyBeside(aGateway('a'), aGateway('b', { hasJournal: true }))).toBe('newVersion')
  expect(applyBeside()).toBe('newVersion')
})
