/** One request to a pipeline and how it ended, for those who receive requests and those who run them. */
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import { ServingError } from '../../kit/errors.ts'
import type { Failure } from '../executor/types.ts'
import type { JournalFailure, JournalHeaders } from '../journal/journal.ts'
import type { CallHeaders } from '../model-client/model-client.ts'
import { type ModelFailure, ownFailure, type SourcedFailure } from '../model-client/model-failure.ts'
import type { Plan } from '../plan/plan.ts'
import type { Caller } from './caller.ts'

/** Of a pipeline's `spec.dataflow`, with its defaults. */
export interface JournalSettings {
  readonly record: 'none' | 'boundary' | 'all'
  readonly wait: 'none' | 'input' | 'all'
  readonly onFailure: JournalFailure
}

/** Of a request that a record of `<pipeline>.inputs` is: that record is not written again. */
export interface TopicOrigin {
  readonly key: string
  readonly partition: number
  /** For all of its records, beside the usual ones. */
  readonly marks: JournalHeaders
  /** What steps answered before a crash: those are not asked again. */
  readonly answers: ReadonlyMap<string, InferenceResponse>
  /** The result, or the error in its place, was given to the journal; settles as `Journal.record` does. */
  readonly onTerminal: (written: Promise<void>) => void
}

export interface PipelineRequest {
  readonly plan: Plan
  readonly journal: JournalSettings
  readonly request: InferenceRequest
  readonly requestId: string
  /** The caller's `x-*`, lower-case, without the request id: steps and the journal get them. */
  readonly headers: CallHeaders
  readonly timeoutMs: number
  /** When it goes away, the request ends. */
  readonly caller: Caller
  /** Absent: somebody called. */
  readonly origin?: TopicOrigin
}

export type PipelineFailure = SourcedFailure

export type PipelineEnd =
  | {
      readonly kind: 'answered'
      readonly response: InferenceResponse
      /** Values of `x-seldon-route` that the steps' answers had, in the order they came. */
      readonly routes: readonly string[]
      /** The version that ran, where somebody else chose it. */
      readonly version?: number
    }
  | { readonly kind: 'failed'; readonly failure: PipelineFailure; readonly version?: number }

/** Runs requests in one way or another. */
export interface PipelineRunner {
  /**
   * Never throws: how a request ends is a value. `onEnd` is called once, maybe before this returns, when the caller may be
   * answered; side branches may go on.
   */
  readonly run: (request: PipelineRequest, onEnd: (end: PipelineEnd) => void) => void
  readonly running: () => number
  /** Resolves when nothing of this plan runs any more. */
  readonly untilIdle: (plan?: Plan) => Promise<void>
}

/** Of one that would be too many. */
export const tooMany = (pipeline: string, maxRequests: number): PipelineEnd => ({
  kind: 'failed',
  failure: toPipelineFailure(
    pipeline,
    new ServingError(
      'SERVER_OVERLOADED',
      `${String(maxRequests)} requests run in this gateway already (--max-requests)`,
    ),
  ),
})

export const toPipelineFailure = (pipeline: string, { code, message }: ServingError): PipelineFailure => ({
  source: pipeline,
  ...ownFailure(code, message),
})

/** The executor's account of a failure, as callers get it. Causes are what the runner said: failures of the model client. */
export function toCallersFailure(pipeline: string, failure: Failure): PipelineFailure {
  switch (failure.kind) {
    case 'step':
      return { source: failure.step, ...(failure.cause as ModelFailure) }
    case 'noOutput':
      return { source: pipeline, ...ownFailure('PIPELINE_NO_OUTPUT', failure.message) }
    case 'deadline':
      return { source: pipeline, ...ownFailure('DEADLINE_EXCEEDED', failure.message) }
    case 'revisits':
      return { source: pipeline, ...ownFailure('PIPELINE_LOOP_LIMIT', `ERROR: ${failure.message}`) }
  }
}
