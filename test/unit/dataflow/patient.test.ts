import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ModelCall, ModelEnd } from '../../../dataflow/model-client/model-client.ts'
import { ownFailure } from '../../../dataflow/model-client/model-failure.ts'
import { waitForModels } from '../../../dataflow/model-client/patient.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const CALL = {
  model: 'm',
  request: { id: '', parameters: {}, inputs: [], outputs: [] },
  headers: [],
  timeoutMs: 10_000,
}
const RESPONSE = { modelName: 'm', modelVersion: '', id: '', parameters: {}, outputs: [] }
const ANSWER: ModelEnd = { kind: 'answered', response: RESPONSE, routes: [] }
const failed = (...failure: Parameters<typeof ownFailure>): ModelEnd => ({
  kind: 'failed',
  failure: ownFailure(...failure),
})
const REFUSED = failed('INGRESS_UNAVAILABLE', 'the ingress gave no answer: connect ECONNREFUSED')

/** The model ends its calls so, one after the other, the last one for ever. */
function scene(...ends: readonly ModelEnd[]) {
  const calls: ModelCall[] = []
  const cancelled: ModelCall[] = []
  const heard: ModelEnd[] = []
  const { infer } = waitForModels(
    {
      infer: (call, onEnd) => {
        calls.push(call)
        const end = ends[calls.length - 1] ?? ends.at(-1)
        const timer = setTimeout(() => {
          if (end !== undefined) onEnd(end)
        }, 1)
        return () => {
          clearTimeout(timer)
          cancelled.push(call)
        }
      },
    },
    () => Date.now(),
  )
  const cancel = infer(CALL, (end) => void heard.push(end))
  return { calls, cancelled, heard, cancel }
}

test.each([
  REFUSED,
  failed('MODEL_NOT_FOUND', 'no route'),
  failed('SERVER_OVERLOADED', 'busy'),
  failed('SERVER_UNAVAILABLE', 'no healthy upstream'),
])('what has touched no model is asked again, with the time that is left: %j', async (failure) => {
  const { calls, heard } = scene(failure, failure, ANSWER)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(heard).toEqual([ANSWER])
  expect(calls).toHaveLength(3)
  expect(calls[2]?.timeoutMs).toBeLessThan(CALL.timeoutMs)
})

test.each([
  failed('INGRESS_UNAVAILABLE', 'the ingress gave no answer: read ECONNRESET'),
  failed(
    'SERVER_UNAVAILABLE',
    'upstream connect error or disconnect/reset before headers. reset reason: connection termination',
  ),
  failed('INFERENCE_FAILED', 'no'),
])('what a model may have seen is not: %j', async (failure) => {
  const { calls, heard } = scene(failure)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(heard).toEqual([failure])
  expect(calls).toHaveLength(1)
})

test('at the end of its time a call fails with the last reason, within that time', async () => {
  const { heard } = scene(REFUSED)
  await vi.advanceTimersByTimeAsync(CALL.timeoutMs)
  expect(heard).toEqual([REFUSED])
})

test('who ends a call that waits hears nothing more, and nobody is asked', async () => {
  const { calls, heard, cancel } = scene(REFUSED)
  await vi.advanceTimersByTimeAsync(2)
  cancel()
  await vi.advanceTimersByTimeAsync(60_000)
  expect([calls.length, heard.length]).toEqual([1, 0])
})
