/**
 * What goes into the executor and comes out of it. The executor is a pure state machine over one plan and one request; a
 * runner feeds it events and carries out its effects, in their order.
 *
 * - The *direct* runner carries out `call` itself and journals `record`.
 * - A runner *over topics* carries out `record`, which is then what calls the model, and ignores `call`; what it reads on
 *   the topics comes back as `arrived`.
 */
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import type { DataEnd } from '../plan/reference.ts'

/**
 * Which turn of each of the plan's loops something belongs to: a count from 0, or -1 outside of it. Empty without loops.
 * Two things meet in a join when they agree on every loop that both are in.
 */
export type Visit = readonly number[]

/** What an edge carries: requests on inputs, responses on outputs. */
export type EdgeMessage =
  | { readonly kind: 'request'; readonly request: InferenceRequest }
  | { readonly kind: 'response'; readonly response: InferenceResponse }

export interface StartOptions {
  /** Absent: the request begins with what arrives on an edge. */
  readonly input?: InferenceRequest
  readonly nowMs: number
  readonly deadlineMs: number
  /**
   * True: data of any edge may also come from outside (a runner over topics), so nothing can be known never to come, and
   * only the deadline ends a request that gets no answer.
   */
  readonly isOpen?: boolean
}

export type ExecutorEvent =
  /** Data appeared on an edge by somebody else's doing: read from a topic, in any order, perhaps twice. */
  | {
      readonly kind: 'arrived'
      readonly edge: number
      readonly visit: Visit
      readonly message: EdgeMessage
      readonly nowMs: number
    }
  /** The model answered a call. */
  | { readonly kind: 'answered'; readonly call: number; readonly response: InferenceResponse; readonly nowMs: number }
  /** The call failed for good; retrying is the runner's business. */
  | { readonly kind: 'failed'; readonly call: number; readonly cause: unknown; readonly nowMs: number }
  /** An error appeared on the topics in the place of a step's answer. */
  | {
      readonly kind: 'arrivedFailure'
      readonly node: number
      readonly visit: Visit
      readonly cause: unknown
      readonly nowMs: number
    }
  | { readonly kind: 'timer'; readonly timer: number; readonly nowMs: number }
  /** The caller went away. */
  | { readonly kind: 'cancelled'; readonly nowMs: number }

export type Failure =
  /** `cause` is what the runner said in `failed`. */
  | { readonly kind: 'step'; readonly step: string; readonly cause: unknown }
  /** Nothing can produce an output any more; `message` says why, naming steps and tensors. */
  | { readonly kind: 'noOutput'; readonly message: string }
  /** `message` says what was still waited for. */
  | { readonly kind: 'deadline'; readonly message: string }
  | { readonly kind: 'revisits'; readonly step: string; readonly limit: number; readonly message: string }

export type Effect =
  /** Call the model. `call` names it in the event that answers; `node` is of the plan. */
  | {
      readonly kind: 'call'
      readonly call: number
      readonly node: number
      readonly step: string
      readonly visit: Visit
      readonly request: InferenceRequest
    }
  /** Nobody needs the answer any more. No event needs to follow; one that does is ignored. */
  | { readonly kind: 'cancel'; readonly call: number }
  /** Something flowed over an edge by the executor's doing. Comes before the call or the answer that it belongs to. */
  | {
      readonly kind: 'record'
      readonly edge: number
      readonly end: DataEnd
      readonly visit: Visit
      readonly message: EdgeMessage
    }
  /** Send `timer` at this time. Those that have not fired when the request is finished are the runner's to clear. */
  | { readonly kind: 'setTimer'; readonly timer: number; readonly atMs: number }
  /** The answer of the request; at most one, and none after `fail`. */
  | { readonly kind: 'answer'; readonly response: InferenceResponse }
  /** The request failed; at most one, and none after `answer`. The runner records the error's text. */
  | { readonly kind: 'fail'; readonly failure: Failure }
  /** A step failed that no output waits for: nobody is told but the log and the errors topic. */
  | { readonly kind: 'sideFailed'; readonly failure: Failure }
  /** Nothing runs and nothing will: the last effect. The state may be forgotten. */
  | { readonly kind: 'finished' }
