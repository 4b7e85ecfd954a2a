/**
 * Runs a record of `<pipeline>.inputs` that nobody waits for, directly, until its result or its error is acknowledged by Kafka.
 * A request is run again when Kafka did not take that: at least once, under the same key.
 */
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import type { Journal, JournalHeaders } from '../journal/journal.ts'
import { REPLAYED_HEADER } from '../journal/topics.ts'
import type { IncomingRecord } from '../kafka/client.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import type { Caller } from '../runner/caller.ts'
import {
  type JournalSettings,
  type PipelineEnd,
  type PipelineRequest,
  type PipelineRunner,
  toPipelineFailure,
} from '../runner/pipeline-request.ts'
import { writeError } from './error-record.ts'
import { type Identity, identify } from './identity.ts'
import { readInput, tellPoison } from './input.ts'
import { insist } from './insist.ts'
import type { Scope } from './scope.ts'
import type { Turns } from '../../kit/turns.ts'

export interface AsynchronousDeps {
  readonly runner: Pick<PipelineRunner, 'run'>
  readonly journal: Journal
  readonly turns: Turns
  readonly log: Logger
  readonly count: (pipeline: string, outcome: Outcome) => void
}

export type Outcome = 'answered' | 'failed' | 'poison' | 'lost'

/** What is known of a request that was begun before. */
export interface Begun {
  /** Of the pipeline that ran it. */
  readonly version: number
  /** By step. */
  readonly answers: ReadonlyMap<string, InferenceResponse>
}

/** Nothing of it can be used again, but its records may be there twice. */
export const MAYBE_BEGUN: Begun = { version: 0, answers: new Map() }

/** Never rejects. False: it goes elsewhere, or the engine stopped; whoever reads the record next runs it. */
export type RunRecord = (held: HeldPlan, record: IncomingRecord, scope: Scope, begun?: Begun) => Promise<boolean>

const REPLAYED: JournalHeaders = [[REPLAYED_HEADER, '1']]
const NO_ANSWERS: ReadonlyMap<string, InferenceResponse> = new Map()

interface Running {
  readonly held: HeldPlan
  readonly identity: Identity
  readonly request: InferenceRequest
  readonly timeoutMs: number
  readonly caller: Caller
}

export function createAsynchronous(deps: AsynchronousDeps): RunRecord {
  const { runner, journal, turns, log, count } = deps

  /** @throws ServingError of the journal: Kafka has no result of it */
  const runOnce = async (one: Running, begun: Begun | undefined, isAgain: boolean): Promise<void> => {
    const { held, identity, request, timeoutMs, caller } = one
    let terminal: Promise<void> | undefined
    const again = begun !== undefined || isAgain ? REPLAYED : []
    const asked: PipelineRequest = {
      plan: held.plan,
      journal: withBoundary(held.journal),
      request,
      requestId: identity.requestId,
      headers: identity.headers,
      timeoutMs,
      caller,
      origin: {
        key: identity.key,
        partition: identity.partition,
        marks: [...identity.marks, ...again],
        answers: begun?.version === held.version ? begun.answers : NO_ANSWERS,
        onTerminal: (written) => {
          terminal ??= written
        },
      },
    }
    const end = await new Promise<PipelineEnd>((resolve) => {
      runner.run(asked, resolve)
    })
    if (terminal !== undefined)
      await orError(terminal, (failure) => writeError(journal, held, identity, failure, again), held.pipeline)
    else if (end.kind === 'failed' && !hasRunOut(held, end)) {
      const { code, message } = end.failure
      if (caller.isGone || code === 'SERVER_OVERLOADED') throw new ServingError(code, message)
      await writeError(journal, held, identity, end.failure, again)
    }
    count(held.pipeline, end.kind)
  }

  return async (held, record, scope, begun) => {
    const identity = identify(record, held.pipeline, journal.partitions)
    const { pipeline } = held
    const content = readInput(held, record)
    if (content.kind === 'poison') {
      const isTold = await tellPoison({ journal, log, signal: scope.signal }, held, record, identity, content.error)
      if (isTold) count(pipeline, 'poison')
      return isTold
    }
    const give = await turns.take()
    const stay = scope.enter()
    try {
      if (stay === undefined) return false
      const { request, timeoutMs } = content
      const { signal } = scope
      const one = { held, identity, request, timeoutMs, caller: stay }
      const what = 'a result could not be recorded: the request is run again'
      return await insist({ what, pipeline, signal, log }, (isAgain) => runOnce(one, begun, isAgain))
    } finally {
      stay?.leave()
      give()
    }
  }
}

/** A result that no topic takes would be lost: its size is told instead. */
async function orError(
  written: Promise<void>,
  tell: (failure: ReturnType<typeof toPipelineFailure>) => Promise<void>,
  pipeline: string,
): Promise<void> {
  try {
    await written
  } catch (error) {
    const failure = toServingError(error)
    if (failure.code !== 'REQUEST_TOO_LARGE') throw failure
    await tell(toPipelineFailure(pipeline, failure))
  }
}

/** A pipeline without an output ends without a result. */
const hasRunOut = ({ plan }: HeldPlan, end: PipelineEnd & { readonly kind: 'failed' }): boolean =>
  plan.outputNode === undefined && end.failure.code === 'PIPELINE_NO_OUTPUT'

/** Who feeds a pipeline through Kafka reads its result there. */
const withBoundary = (settings: JournalSettings): JournalSettings =>
  settings.record === 'none' ? { ...settings, record: 'boundary' } : settings
