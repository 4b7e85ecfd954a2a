import { describe, expect, test } from 'vitest'
import type { Hello__Output } from '../../../../api/generated/millrace/agent/v1/Hello.ts'
import { introduce } from '../../../../scheduler/agents/introduction.ts'
import { createLedger } from '../../../../scheduler/agents/ledger.ts'
import type { DesiredModelVersion } from '../../../../scheduler/domain/desired.ts'
import type { InternalName } from '../../../../scheduler/domain/documents.ts'

const hello = (epoch: string, generation: number, models: readonly string[]): Hello__Output => ({
  serverName: 's',
  replicaIndex: 0,
  sessionId: 'x',
  config: null,
  models: models.map((internalName) => ({
    internalName,
    state: 'LOADED',
    reason: '',
    code: '',
    artifactBytes: '0',
    attempt: 0,
  })),
  epoch,
  generation: String(generation),
  health: null,
})
const desired = (internalName: InternalName): DesiredModelVersion => ({
  internalName,
  model: 'm',
  version: 1,
  spec: { storageUri: '/m', requirements: [], parameters: {} },
  attempt: 0,
})

describe('what an agent is told first', () => {
  test('a new agent everything, in an epoch of this store', () => {
    const first = introduce({ storeId: 'store', known: undefined, hello: hello('', 0, []), desired: [desired('a_1')] })
    expect(first).toMatchObject({ full: true, kept: [], difference: { load: [{ internalName: 'a_1' }] } })
    expect(first.ledger.epoch).toMatch(/^store\//)
  })

  test('an agent that was here before only what changed', () => {
    const known = createLedger('store/1', [desired('a_1')])
    known.load(desired('b_1'))
    const first = introduce({ storeId: 'store', known, hello: hello('store/1', 1, ['a_1']), desired: [] })
    expect(first).toMatchObject({ full: false, difference: { load: [{ internalName: 'b_1' }], unload: [] } })
    expect(first.ledger).toBe(known)
  })

  test('an agent of an earlier scheduler on the same store everything: what is not wanted any more goes', () => {
    const first = introduce({
      storeId: 'store',
      known: undefined,
      hello: hello('store/old', 7, ['a_1', 'gone_1']),
      desired: [desired('a_1')],
    })
    expect(first).toMatchObject({ full: true, kept: [] })
  })

  test('an agent that was instructed from a store that is lost keeps what this one does not know (I9)', () => {
    const first = introduce({
      storeId: 'new-store',
      known: undefined,
      hello: hello('lost-store/1', 7, ['a_1', 'unknown_3']),
      desired: [desired('a_1')],
    })
    expect(first).toMatchObject({ full: false, kept: ['unknown_3'], difference: { generation: 8, unload: [] } })
    expect(first.ledger.epoch).toBe('lost-store/1') // its numbering goes on, or it would take this for everything
  })
})
