import { expect, test } from 'vitest'
import type { InferenceRequest } from '../../../api/oip/inference.ts'
import type { ModelClient } from '../../../dataflow/model-client/model-client.ts'
import { type Call, createGateway, type InferAnswer } from '../../../dataflow/pipeline-gateway/gateway.ts'
import type { PipelineEnd, PipelineRunner } from '../../../dataflow/runner/pipeline-request.ts'
import { silentLogger } from '../../../kit/log.ts'
import { heldPlan } from './engine/kafka-in-memory.ts'

const REQUEST: InferenceRequest = { id: '', inputs: [], outputs: [], parameters: {} }
const CALL: Call = {
  pipeline: 'p',
  method: 'rest',
  fields: { internalModel: undefined, model: undefined, requestId: 'r1', timeoutMs: undefined },
  passed: [],
  caller: { isGone: false, onGone: undefined },
  protocolTimeoutMs: Infinity,
}
const CANCELLED: PipelineEnd = {
  kind: 'failed',
  failure: { source: 'p', code: 'CANCELLED', grpcStatus: 1, httpStatus: 499, message: 'gone' },
}

/** What a call of a gateway with this runner is answered, and how often it counts. */
function ask(run: PipelineRunner['run'], call: Partial<Call> = {}) {
  const counted: unknown[] = []
  const answers: InferAnswer[] = []
  const held = heldPlan('p', { steps: [{ name: 'a' }], output: { steps: ['a'] } })
  const gateway = createGateway({
    plans: { serving: (name) => (name === 'p' ? held : undefined) },
    runner: { run } as PipelineRunner,
    models: {} as ModelClient,
    count: (...args) => {
      counted.push(args)
    },
    isAccepting: () => true,
    log: silentLogger,
    nowMs: () => 0,
  })
  gateway.infer(
    { ...CALL, ...call },
    (onRead) => {
      onRead(REQUEST)
    },
    (answer) => {
      answers.push(answer)
    },
  )
  return { answers, counted }
}

const bug = (): never => {
  throw new TypeError('x is not a function')
}

test('a bug of the runner ends the one request with an answer that names its pipeline', () => {
  const { answers, counted } = ask(bug)
  expect(answers).toHaveLength(1)
  expect(counted).toHaveLength(1)
  expect(answers[0]).toMatchObject({
    requestId: 'r1',
    end: { kind: 'failed', failure: { source: 'p', code: 'INVARIANT_BROKEN', httpStatus: 500 } },
  })
})

test('a bug after the end changes nothing: a request is answered and counted once', () => {
  const { answers, counted } = ask((_, onEnd) => {
    onEnd(CANCELLED)
    bug()
  })
  expect(answers.map(({ end }) => end)).toEqual([CANCELLED])
  expect(counted).toHaveLength(1)
})

test('a pipeline that is not there is answered without asking the runner, and counts without its name', () => {
  const { answers, counted } = ask(bug, { pipeline: 'q' })
  expect(answers[0]).toMatchObject({ version: 0, end: { failure: { code: 'PIPELINE_NOT_FOUND' } } })
  expect(counted).toMatchObject([['rest', undefined, { kind: 'failed' }, 0]])
})
