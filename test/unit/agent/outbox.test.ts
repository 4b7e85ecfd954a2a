import { beforeEach, describe, expect, it } from 'vitest'
import type { AgentMessage } from '../../../api/generated/millrace/agent/v1/AgentMessage.ts'
import type { Observed } from '../../../agent/desired/observed.ts'
import type { ReplicaState } from '../../../agent/reconcile/replica-state.ts'
import { toObservedModel } from '../../../agent/session/messages.ts'
import { createOutbox } from '../../../agent/session/outbox.ts'
import { known, model, stored } from './models.ts'

const loaded: Observed = { kind: 'Loaded', stored: stored() }
const loading: Observed = { kind: 'Loading', stored: stored(), interruptions: 0 }
const failed: Observed = { kind: 'LoadFailed', stored: stored(), reason: 'r' }

let sent: AgentMessage[]
let state: ReplicaState
let keepsUp: boolean
let drained: (() => void) | undefined
let changed: (...names: string[]) => void

beforeEach(() => {
  sent = []
  keepsUp = true
  drained = undefined
  state = {
    desired: known([model('a_1'), model('b_1')]),
    observed: new Map(),
    server: { kind: 'Serving' },
    appliedGeneration: 0,
  }
  const call = {
    write: (message: AgentMessage) => {
      sent.push(message)
      return keepsUp
    },
    once: (_event: 'drain', listener: () => void) => {
      drained = listener
    },
  }
  const outbox = createOutbox({ call, state: () => state, memoryBytes: 100 })
  changed = (...names) => {
    outbox.changed(new Set(names))
  }
})

const told = (): string[] =>
  sent.flatMap(({ observed, health }) => [
    ...(observed?.models ?? []).map((each) => `${each.internalName ?? ''} ${String(each.state)}`),
    ...(health ? [String(health.state)] : []),
  ])

describe('the outbox', () => {
  it('tells models that changed, then the health', () => {
    state = {
      ...state,
      observed: new Map<string, Observed>([['a_1', loaded]]),
      server: { kind: 'Down', reason: 'gone' },
    }
    changed('a_1')
    expect(told()).toEqual(['a_1 LOADED', 'DOWN'])
    expect(sent[0]?.observed).toMatchObject({ availableMemoryBytes: 80 })
  })

  it('says nothing when nothing changed', () => {
    changed()
    expect(sent).toEqual([])
  })

  it.each<[string, Partial<ReplicaState>, object]>([
    ['the generation that was acted upon', { appliedGeneration: 3 }, { appliedGeneration: 3 }],
    ['the memory left', { desired: known([model('a_1')]) }, { availableMemoryBytes: 90 }],
  ])('tells %s alone', (_name, change, expected) => {
    state = { ...state, ...change }
    changed()
    expect(sent).toMatchObject([{ observed: { models: [], ...expected } }])
  })

  it('waits for a stream that does not keep up, then tells the last state of each model once', () => {
    keepsUp = false
    state = { ...state, observed: new Map<string, Observed>([['a_1', loading]]) }
    changed('a_1')
    state = {
      ...state,
      observed: new Map<string, Observed>([
        ['a_1', loaded],
        ['b_1', loading],
      ]),
    }
    changed('a_1')
    changed('b_1')
    state = {
      ...state,
      observed: new Map<string, Observed>([
        ['a_1', failed],
        ['b_1', loading],
      ]),
    }
    changed('a_1')
    expect(told()).toEqual(['a_1 LOADING'])
    keepsUp = true
    drained?.()
    expect(told()).toEqual(['a_1 LOADING', 'a_1 LOAD_FAILED', 'b_1 LOADING'])
  })

  it('tells a model of which nothing is left as UNLOADED', () => {
    state = { ...state, desired: known([]) }
    changed('a_1')
    expect(told()).toEqual(['a_1 UNLOADED'])
  })
})

describe('one model in a report', () => {
  const unloading: Observed = { kind: 'Unloading', stored: stored(), failures: 0 }
  it.each<[string, boolean, Observed | undefined, object | undefined]>([
    ['desired and waiting', true, undefined, { state: 'LOADING', attempt: 2, artifactBytes: 0 }],
    [
      'desired and only on the disk',
      true,
      { kind: 'Stored', stored: stored(), interruptions: 0 },
      { state: 'LOADING', attempt: 2 },
    ],
    ['loading for an earlier attempt', true, loading, { state: 'LOADING', attempt: 1, artifactBytes: 5 }],
    ['loaded before this attempt', true, loaded, { state: 'LOADED', attempt: 2 }],
    ['failed in an earlier attempt', true, failed, { state: 'LOAD_FAILED', attempt: 1, reason: 'r' }],
    ['loaded and not desired', false, loaded, { state: 'LOADED', attempt: 1 }],
    ['unloading', false, unloading, { state: 'UNLOADING' }],
    ['only on the disk and not desired', false, { kind: 'Stored', stored: stored(), interruptions: 0 }, undefined],
    ['nothing', false, undefined, undefined],
  ])('%s', (_name, desired, observed, expected) => {
    const report = toObservedModel('a_1', desired ? model('a_1', { attempt: 2 }) : undefined, observed)
    if (expected === undefined) expect(report).toBeUndefined()
    else expect(report).toMatchObject(expected)
  })
})
