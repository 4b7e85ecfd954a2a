/**
 * Runs requests to pipelines that are executed over topics: puts the request on the pipeline's inputs, and waits for the record with its
 * key on the pipeline's outputs. Engines and model gateways do the rest. A request waits until its deadline at most; when its caller
 * goes away, the waiting ends and the request runs on.
 *
 * I8: the result was made of the input's record, so an answer means that the broker has it, whatever `wait` says.
 */
import { randomUUID } from 'node:crypto'
import { type ErrorCode, ServingError, toServingError } from '../../kit/errors.ts'
import { ReleasingMap } from '../../kit/releasing-map.ts'
import type { OnRecord } from '../consumer/types.ts'
import { journalHeaders } from '../journal/journal-headers.ts'
import type { Journal, JournalHeaders } from '../journal/journal.ts'
import { compositeKey, GATEWAY_HEADER, RUNNER_HEADER, type TopicSpace } from '../journal/topics.ts'
import type { Plan } from '../plan/plan.ts'
import {
  type PipelineEnd,
  type PipelineRequest,
  type PipelineRunner,
  toPipelineFailure,
} from '../runner/pipeline-request.ts'
import { toEnd } from './answer.ts'
import { TIMEOUT_HEADER } from './call.ts'
import { type Answers, outputsOf } from './listening.ts'

export interface TopicsCallerDeps {
  readonly journal: Journal
  readonly space: TopicSpace
  readonly listening: () => Pick<Answers, 'placing'>
  /** `<name>/<epoch>`: who waits for the answer. */
  readonly mark: string
  /** Of a clock that only goes forward. */
  readonly nowMs: () => number
}

export interface TopicsCaller extends PipelineRunner {
  /** Takes the records of outputs: those of others are passed over. */
  readonly onRecord: OnRecord
  readonly untilUnawaited: (pipeline: string) => Promise<void>
}

/** What the way back takes: the engine gives up a little earlier than the caller, and says what was missing. */
const WAY_BACK = { share: 0.1, maxMs: 250 }
/** Keys of requests that ran lately: a caller that gives an id twice means two requests. */
const MAX_REMEMBERED_KEYS = 16_384

interface Waiting {
  readonly plan: Plan
  readonly topic: string
  readonly settle: (end: PipelineEnd) => void
}

export function createTopicsCaller(deps: TopicsCallerDeps): TopicsCaller {
  const { journal, space, mark, nowMs } = deps
  /** By key. */
  const waiting = new ReleasingMap<string, Waiting>()
  const remembered = new Set<string>()
  let idle: { readonly isMeant: (plan: Plan) => boolean; readonly resolve: () => void }[] = []
  let turn = 0

  const isIdle = (isMeant: (plan: Plan) => boolean): boolean => {
    for (const { plan } of waiting.values()) if (isMeant(plan)) return false
    return true
  }
  const look = (): void => {
    if (idle.length === 0) return
    for (const { isMeant, resolve } of idle) if (isIdle(isMeant)) resolve()
    idle = idle.filter(({ isMeant }) => !isIdle(isMeant))
  }
  const untilNoneOf = (isMeant: (plan: Plan) => boolean): Promise<void> =>
    new Promise((resolve) => {
      idle.push({ isMeant, resolve })
      look()
    })

  /** The caller's id is in the key, unless a request of that key ran already. */
  const freshKey = (partition: number, { plan: { pipeline }, requestId }: PipelineRequest): string => {
    const given = compositeKey(partition, pipeline, requestId)
    const key = remembered.has(given) ? compositeKey(partition, pipeline, randomUUID()) : given
    remembered.add(key)
    if (remembered.size > MAX_REMEMBERED_KEYS) for (const oldest of remembered) return forget(oldest, key)
    return key
  }
  const forget = (oldest: string, key: string): string => {
    remembered.delete(oldest)
    return key
  }

  const send = (request: PipelineRequest, key: string, partition: number, leftMs: number): Promise<void> => {
    const { plan, headers: callerHeaders, requestId, journal: settings } = request
    const { pipeline, version } = plan
    const headers: JournalHeaders = [
      ...journalHeaders({ pipeline, version, requestId, callerHeaders }),
      [GATEWAY_HEADER, mark],
      [RUNNER_HEADER, 'topics'],
      [TIMEOUT_HEADER, String(Math.max(1, Math.floor(leftMs - Math.min(leftMs * WAY_BACK.share, WAY_BACK.maxMs))))],
    ]
    return journal.record({
      topic: { kind: 'pipeline', name: pipeline, side: 'inputs' },
      key,
      partition,
      headers,
      message: { kind: 'request', request: request.request },
      onFailure: settings.onFailure,
    })
  }

  const run = (request: PipelineRequest, onEnd: (end: PipelineEnd) => void): void => {
    const { plan, caller, timeoutMs } = request
    const { pipeline } = plan
    const failed = (code: ErrorCode, message: string): PipelineEnd =>
      failedBy(pipeline, new ServingError(code, message))
    if (caller.isGone) {
      onEnd(failed('CANCELLED', 'the caller went away'))
      return
    }
    const deadlineMs = nowMs() + timeoutMs
    turn = (turn + 1) % journal.partitions
    const partition = turn
    const key = freshKey(partition, request)
    const settle = (end: PipelineEnd): void => {
      if (!waiting.delete(key)) return
      clearTimeout(timer)
      caller.onGone = undefined
      onEnd(end)
      look()
    }
    const timer = setTimeout(
      () => {
        const message = `pipeline "${pipeline}" is executed over topics, and no result came on ${outputsOf(space, pipeline)} in time`
        settle(failed('DEADLINE_EXCEEDED', message))
      },
      Math.max(Math.ceil(timeoutMs), 0),
    )
    caller.onGone = () => {
      settle(failed('CANCELLED', 'the caller went away'))
    }
    waiting.set(key, { plan, topic: outputsOf(space, pipeline), settle })
    const begin = async (): Promise<void> => {
      const placing = deps.listening().placing(pipeline)
      if (placing !== undefined) await placing
      if (waiting.get(key) === undefined) return
      await send(request, key, partition, deadlineMs - nowMs())
      if (plan.outputNode === undefined)
        settle(failed('PIPELINE_NO_OUTPUT', `pipeline "${pipeline}" has no output: it runs, and answers nothing`))
    }
    begin().catch((error: unknown) => {
      settle(failedBy(pipeline, toServingError(error)))
    })
  }

  return {
    run,
    running: () => waiting.size,
    untilIdle: (plan) => untilNoneOf((one) => plan === undefined || one === plan),
    untilUnawaited: (pipeline) => untilNoneOf((one) => one.pipeline === pipeline),
    onRecord: (record, done) => {
      const one = waiting.get(record.key)
      // Of another gateway's request, of none's, or of a pipeline that takes from this one.
      if (one?.topic === record.topic) one.settle(toEnd(one.plan.pipeline, record))
      done()
    },
  }
}

const failedBy = (pipeline: string, error: ServingError): PipelineEnd => ({
  kind: 'failed',
  failure: toPipelineFailure(pipeline, error),
})
