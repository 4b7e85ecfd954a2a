import { describe, expect, test } from 'vitest'
import { createLedger } from '../../../../scheduler/agents/ledger.ts'
import type { DesiredModelVersion } from '../../../../scheduler/domain/desired.ts'
import type { InternalName } from '../../../../scheduler/domain/documents.ts'

const desired = (internalName: InternalName, attempt = 0): DesiredModelVersion => ({
  internalName,
  model: internalName.slice(0, internalName.lastIndexOf('_')),
  version: 1,
  spec: { storageUri: '/m', requirements: [], parameters: {} },
  attempt,
})
const names = (models: readonly DesiredModelVersion[]): string[] => models.map((model) => model.internalName)

describe('the ledger of one agent', () => {
  test('starts with everything at its first generation', () => {
    const ledger = createLedger('e', [desired('a_1')])
    expect(ledger.everything()).toMatchObject({ generation: 1, unload: [] })
    expect(names(ledger.everything().load)).toEqual(['a_1'])
    expect(ledger.since(1)).toEqual({ generation: 1, load: [], unload: [] })
  })

  test('tells only what changed since a generation, the newest state of each model', () => {
    const ledger = createLedger('e', [desired('a_1'), desired('b_1')])
    ledger.load(desired('c_1'))
    const at = ledger.generation()
    ledger.load(desired('a_1', 1))
    ledger.unload('b_1')
    ledger.load(desired('a_1', 2))
    expect(ledger.since(at)).toEqual({ generation: at + 3, load: [desired('a_1', 2)], unload: ['b_1'] })
  })

  test('a model that went and came back is loaded, not unloaded', () => {
    const ledger = createLedger('e', [desired('a_1')])
    ledger.unload('a_1')
    ledger.load(desired('a_1'))
    expect(ledger.since(1)).toMatchObject({ load: [{ internalName: 'a_1' }], unload: [] })
  })

  test('does not know generations of the future', () => {
    expect(createLedger('e', []).since(2)).toBeUndefined()
  })

  test('whoever is behind what it remembers gets everything', () => {
    const ledger = createLedger('e', [])
    for (let n = 0; n < 10_050; n += 1) ledger.unload(`m_${n}`)
    expect(ledger.since(1)).toBeUndefined()
    expect(ledger.since(ledger.generation() - 5)?.unload).toHaveLength(5)
  })
})
