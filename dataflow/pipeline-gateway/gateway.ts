/** What both interfaces answer from. */
import { randomUUID } from 'node:crypto'
import type { InferenceRequest } from '../../api/oip/inference.ts'
import type { ModelMetadata } from '../../api/oip/metadata.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { CallHeaders, ModelClient } from '../model-client/model-client.ts'
import type { Caller } from '../runner/caller.ts'
import {
  type PipelineEnd,
  type PipelineRequest,
  type PipelineRunner,
  toPipelineFailure,
} from '../runner/pipeline-request.ts'
import { type CallFields, requestIdOf, timeoutOf } from './call.ts'
import { type HeldPlan, type HeldPlans, unknownPipeline } from '../control/held-plans.ts'
import type { CountRequest, MethodType } from './metrics.ts'
import { composeMetadata, stepModels } from './pipeline-metadata.ts'

export interface GatewayDeps {
  readonly plans: Pick<HeldPlans, 'serving'>
  readonly runner: PipelineRunner
  readonly models: ModelClient
  readonly count: CountRequest
  /** False while the gateway drains. */
  readonly isAccepting: () => boolean
  readonly log: Logger
  readonly nowMs: () => number
}

export interface Call {
  readonly pipeline: string
  readonly method: MethodType
  readonly fields: CallFields
  readonly passed: CallHeaders
  readonly caller: Caller
  /** What the protocol itself allows; Infinity: it says nothing. */
  readonly protocolTimeoutMs: number
}

/** Gives the request of a call, or why there is none, maybe at once. */
export type ReadRequest = (onRead: (request: InferenceRequest | ServingError) => void) => void

export interface InferAnswer {
  readonly end: PipelineEnd
  readonly requestId: string
  /** 0: none was chosen. */
  readonly version: number
}

export interface Readiness {
  readonly ready: boolean
  /** Models of steps that are not ready. */
  readonly missing: readonly string[]
}

export interface Gateway {
  /** Never throws. `read` is called after the pipeline was found, `onEnd` once, maybe before this returns. */
  readonly infer: (call: Call, read: ReadRequest, onEnd: (answer: InferAnswer) => void) => void
  readonly ready: (pipeline: string) => Promise<Readiness>
  readonly metadata: (pipeline: string) => Promise<ModelMetadata>
}

/** For questions about models, which have no deadline of their own. */
const ASK_TIMEOUT_MS = 5_000

export function createGateway(deps: GatewayDeps): Gateway {
  const { plans, runner, models, nowMs } = deps
  const find = (pipeline: string): HeldPlan => {
    const held = plans.serving(pipeline)
    if (held === undefined) throw unknownPipeline(pipeline)
    return held
  }

  return {
    infer: (call, read, onEnd) => {
      const startedMs = nowMs()
      const requestId = requestIdOf(call.fields.requestId, randomUUID)
      let version = 0
      let isOver = false
      const end = (how: PipelineEnd): void => {
        if (isOver) return // it ended, then something failed
        isOver = true
        const tookMs = nowMs() - startedMs
        onEnd({ end: how, requestId, version: how.version ?? version })
        deps.count(call.method, version === 0 ? undefined : call.pipeline, how, tookMs) // the caller need not wait for it
      }
      const fail = (error: unknown): void => {
        const failure = toServingError(error)
        if (failure.code === 'INVARIANT_BROKEN')
          deps.log.error({ pipeline: call.pipeline, error: failure.stack ?? failure.message }, 'request failed')
        end({ kind: 'failed', failure: toPipelineFailure(call.pipeline, failure) })
      }
      let held: HeldPlan
      let timeoutMs: number
      try {
        if (!deps.isAccepting()) throw new ServingError('SERVER_UNAVAILABLE', 'this gateway is stopping')
        held = find(call.pipeline)
        version = held.version
        timeoutMs = Math.min(timeoutOf(call.fields.timeoutMs, held.plan.timeoutMs), call.protocolTimeoutMs)
      } catch (error) {
        fail(error)
        return
      }
      read((request) => {
        if (request instanceof ServingError) {
          fail(request)
          return
        }
        const asked: PipelineRequest = {
          plan: held.plan,
          journal: held.journal,
          request,
          requestId,
          headers: call.passed,
          timeoutMs: Math.max(timeoutMs - (nowMs() - startedMs), 0),
          caller: call.caller,
        }
        try {
          runner.run(asked, end)
        } catch (error) {
          fail(error) // a bug ends one request, with an answer
        }
      })
    },
    ready: async (pipeline) => {
      const names = stepModels(find(pipeline).spec)
      const ready = await Promise.all(names.map((name) => models.isReady(name, ASK_TIMEOUT_MS)))
      const missing = names.filter((_, index) => ready[index] !== true)
      return { ready: missing.length === 0, missing }
    },
    metadata: async (pipeline) => {
      const { spec, version } = find(pipeline)
      const found = new Map<string, ModelMetadata>()
      const missing: string[] = []
      await Promise.all(
        stepModels(spec).map(async (name) => {
          const answer = await models.metadata(name, ASK_TIMEOUT_MS)
          if ('code' in answer) missing.push(`${name} (${answer.message})`)
          else found.set(name, answer)
        }),
      )
      if (missing.length > 0) throw notReady(pipeline, missing.toSorted())
      return composeMetadata(pipeline, version, spec, found)
    },
  }
}

const notReady = (pipeline: string, missing: readonly string[]): ServingError =>
  new ServingError(
    'PIPELINE_NOT_READY',
    `pipeline "${pipeline}" is not ready: models of its steps are missing: ${missing.join(', ')}`,
  )
