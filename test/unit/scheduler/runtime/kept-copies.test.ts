import { beforeEach, describe, expect, test } from 'vitest'
import { createKeptCopies, type KeptCopies } from '../../../../scheduler/agents/kept-copies.ts'
import { aModel } from '../../../support/documents.ts'

const DRAIN_MS = 2_000
const available = (name: string) => ({ ...aModel(name), availableSinceMs: 1 })

let kept: KeptCopies
beforeEach(() => {
  kept = createKeptCopies(DRAIN_MS)
  kept.keep('embedded/0', ['iris_1', 'wine_1'])
  kept.keep('embedded/1', ['iris_1'])
})

describe('copies that the store does not know', () => {
  test('stay while their model is not there, or not available', () => {
    kept.follow(aModel('iris'), 0)
    expect(kept.takeLeft(1e9)).toEqual([])
  })

  test('go a drain time after their model is available, of every replica, once', () => {
    kept.follow(available('iris'), 1_000)
    expect(kept.takeLeft(1_000 + DRAIN_MS - 1)).toEqual([])
    kept.follow(available('iris'), 1_500) // written again: the wait does not begin anew
    expect(kept.takeLeft(1_000 + DRAIN_MS)).toEqual([
      { replica: 'embedded/0', name: 'iris_1' },
      { replica: 'embedded/1', name: 'iris_1' },
    ])
    expect(kept.takeLeft(1e9)).toEqual([])
  })

  test('each after its own time', () => {
    kept.follow(available('iris'), 0)
    kept.follow(available('wine'), 1_000)
    expect(kept.takeLeft(DRAIN_MS).map(({ name }) => name)).toEqual(['iris_1', 'iris_1'])
    expect(kept.takeLeft(DRAIN_MS + 1_000).map(({ name }) => name)).toEqual(['wine_1'])
  })
})
