import { describe, expect, test } from 'vitest'
import type { ServerKind } from '../../../../up/servers/kinds.ts'
import { nextRetryMs, planSteps, type ReplicaState } from '../../../../up/servers/plan-steps.ts'

const NOW = 1_000
const failed = (retryAtMs: number): ReplicaState => ({ kind: 'failed', retryAtMs, failures: 0, reason: 'no' })
const starting: ReplicaState = { kind: 'starting' }
const running: ReplicaState = { kind: 'running' }
const draining: ReplicaState = { kind: 'draining' }

/** `start 2, drain 1`, for replicas by index. */
function steps(count: number, ...states: readonly (ReplicaState | undefined)[]): string {
  const replicas = new Map(states.flatMap((state, index) => (state === undefined ? [] : [[index, state] as const])))
  const planned = planSteps(new Map<ServerKind, number>([['embedded', count]]), () => replicas, NOW)
  return planned.map(({ kind, index }) => `${kind} ${String(index)}`).join(', ')
}

describe('scaling up', () => {
  test('starts what is missing together, lowest index first', () => {
    expect(steps(2)).toBe('start 0, start 1')
    expect(steps(4, running, undefined, running)).toBe('start 1, start 3')
  })

  test('waits for what starts, and for what drains before it starts again', () => {
    expect(steps(3, running, starting, draining)).toBe('')
  })

  test('tries again when it is time', () => {
    expect(steps(1, failed(NOW + 1))).toBe('')
    expect(steps(1, failed(NOW))).toBe('start 0')
  })
})

describe('scaling down', () => {
  test('drains the highest first, and one at a time', () => {
    expect(steps(1, running, running, running)).toBe('drain 2')
    expect(steps(1, running, running, draining)).toBe('')
    expect(steps(1, running, draining, running)).toBe('')
    expect(steps(1, running, running)).toBe('drain 1')
    expect(steps(0, running)).toBe('drain 0')
  })

  test('lets one that still starts come up before it leaves', () => {
    expect(steps(1, running, running, starting)).toBe('')
  })

  test('forgets what could not be started, and drains others beside it', () => {
    expect(steps(1, running, running, failed(NOW))).toBe('drain 1, forget 2')
  })

  test('when everything is as wanted there is nothing to do', () => {
    expect(steps(2, running, running)).toBe('')
  })
})

test('servers are independent of each other, and one that nobody asks about is left alone', () => {
  const desired = new Map<ServerKind, number>([['mlserver', 1]])
  expect(planSteps(desired, (server) => new Map(server === 'embedded' ? [[0, running]] : []), NOW)).toEqual([
    { kind: 'start', server: 'mlserver', index: 0 },
  ])
})

test('the next look is at the earliest retry', () => {
  expect(nextRetryMs([running, failed(9), failed(7)])).toBe(7)
  expect(nextRetryMs([running])).toBeUndefined()
})
