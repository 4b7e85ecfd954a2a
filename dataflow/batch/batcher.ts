/**
 * Steps with a `batch`: calls of several requests wait for each other, go to the model as one, and each gets its own rows back.
 * A batch goes when it has its size in rows, when its time is over, or when a member has waited for half of the time that it
 * has left. What a model refuses as a batch is asked again one by one, so nobody fails for the rows of somebody else.
 *
 * Bounded by the requests that run: each waits in one batch at a time.
 */
import { toServingError } from '../../kit/errors.ts'
import type { ModelCall, ModelClient, ModelEnd } from '../model-client/model-client.ts'
import { type ModelFailure, ownFailure } from '../model-client/model-failure.ts'
import { mergeRequests, rowsOf, shareOut } from './rows.ts'

/** How long a batch waits whose spec says nothing of it. */
export const STANDARD_WINDOW_MS = 20
/** More would not fit into one message with what comes along. */
const MAX_BATCH_BYTES = 32 * 1024 * 1024

export interface BatchSettings {
  /** In rows. */
  readonly size: number
  readonly windowMs: number | undefined
  /** Each member that comes begins the time anew. */
  readonly rolling: boolean
}

export interface BatcherDeps {
  readonly models: Pick<ModelClient, 'infer'>
  /** Of a clock that only goes forward. */
  readonly nowMs: () => number
}

export interface Batcher {
  /** As `ModelClient.infer`. `scope` tells steps apart: only calls of one scope share a batch. */
  readonly infer: (
    scope: string,
    settings: BatchSettings,
    call: ModelCall,
    onEnd: (end: ModelEnd) => void,
  ) => () => void
}

interface Member {
  readonly call: ModelCall
  readonly rows: number
  readonly deadlineMs: number
  readonly onEnd: (end: ModelEnd) => void
  /** Nobody needs its answer any more, or has it. */
  isOver: boolean
  /** Of the call that is made for it alone. */
  cancelAlone: (() => void) | undefined
}

interface Batch {
  readonly members: Member[]
  readonly sinceMs: number
  rows: number
  bytes: number
  timer: NodeJS.Timeout | undefined
  cancel: (() => void) | undefined
}

export function createBatcher({ models, nowMs }: BatcherDeps): Batcher {
  /** By scope and form: those that still take members. */
  const open = new Map<string, Batch>()

  function schedule(key: string, batch: Batch, { rolling, windowMs = STANDARD_WINDOW_MS }: BatchSettings): void {
    clearTimeout(batch.timer)
    const now = nowMs()
    const windowEndMs = (rolling ? now : batch.sinceMs) + windowMs
    const patienceEndMs = Math.min(...batch.members.map(({ deadlineMs }) => now + (deadlineMs - now) / 2))
    const waitMs = Math.max(Math.min(windowEndMs, patienceEndMs) - now, 0)
    batch.timer = setTimeout(() => {
      go(key, batch)
    }, waitMs)
  }

  function go(key: string, batch: Batch): void {
    clearTimeout(batch.timer)
    if (open.get(key) === batch) open.delete(key)
    const [first, ...others] = batch.members.filter(({ isOver }) => !isOver)
    if (first === undefined) return
    if (others.length === 0) askAlone(first)
    else askTogether(batch, [first, ...others])
  }

  function askTogether(batch: Batch, members: readonly [Member, ...Member[]]): void {
    const [first, ...others] = members
    const request = mergeRequests([first.call.request, ...others.map(({ call }) => call.request)])
    const timeoutMs = Math.max(...members.map(({ deadlineMs }) => deadlineMs)) - nowMs()
    batch.cancel = models.infer({ ...first.call, request, timeoutMs: Math.max(timeoutMs, 0) }, (end) => {
      batch.cancel = undefined
      const waiting = members.filter(({ isOver }) => !isOver)
      if (end.kind === 'failed' && isOfTheRows(end.failure)) for (const member of waiting) askAlone(member)
      else for (const [index, own] of toEnds(members, end).entries()) tell(members[index], own)
    })
  }

  function askAlone(member: Member): void {
    const timeoutMs = Math.max(member.deadlineMs - nowMs(), 0)
    member.cancelAlone = models.infer({ ...member.call, timeoutMs }, (end) => {
      tell(member, end)
    })
  }

  function leave(key: string, batch: Batch, member: Member): void {
    if (member.isOver) return
    member.isOver = true
    member.cancelAlone?.()
    if (batch.members.some(({ isOver }) => !isOver)) return
    clearTimeout(batch.timer)
    if (open.get(key) === batch) open.delete(key)
    batch.cancel?.()
  }

  /** One that still has room for it. */
  function batchFor(key: string, bytes: number): Batch {
    const known = open.get(key)
    if (known !== undefined && known.bytes + bytes <= MAX_BATCH_BYTES) return known
    if (known !== undefined) go(key, known)
    const batch: Batch = { members: [], sinceMs: nowMs(), rows: 0, bytes: 0, timer: undefined, cancel: undefined }
    open.set(key, batch)
    return batch
  }

  return {
    infer: (scope, settings, call, onEnd) => {
      const rows = rowsOf(call.request)
      if (rows === undefined || rows.count >= settings.size) return models.infer(call, onEnd)
      const key = `${scope} ${rows.form}`
      const bytes = call.request.inputs.reduce((sum, tensor) => sum + tensor.bytes.byteLength, 0)
      const batch = batchFor(key, bytes)
      const deadlineMs = nowMs() + call.timeoutMs
      const member: Member = { call, rows: rows.count, deadlineMs, onEnd, isOver: false, cancelAlone: undefined }
      batch.members.push(member)
      batch.rows += rows.count
      batch.bytes += bytes
      if (batch.rows >= settings.size) go(key, batch)
      else schedule(key, batch, settings)
      return () => {
        leave(key, batch, member)
      }
    },
  }
}

function tell(member: Member | undefined, end: ModelEnd): void {
  if (member === undefined || member.isOver) return
  member.isOver = true
  member.onEnd(end)
}

/** What the model's end is for each of them. */
function toEnds(members: readonly Member[], end: ModelEnd): readonly ModelEnd[] {
  if (end.kind === 'failed') return members.map(() => end)
  const asked = members.map(({ call, rows }) => ({ id: call.request.id, rows }))
  try {
    const responses = shareOut(end.response, asked)
    if (responses !== undefined) return responses.map((response) => ({ ...end, response }))
    return members.map(() => cannotBeShared('it has not one row for each row that was asked'))
  } catch (error) {
    return members.map(() => cannotBeShared(toServingError(error).message))
  }
}

const cannotBeShared = (reason: string): ModelEnd => ({
  kind: 'failed',
  failure: ownFailure(
    'INFERENCE_FAILED',
    `the answer to a batch cannot be shared out: ${reason}; leave batch out of this step`,
  ),
})

/** The model answered, and did not like what it got: the rows of one member may be the reason. */
const isOfTheRows = ({ code, httpStatus }: ModelFailure): boolean => code === 'INFERENCE_FAILED' || httpStatus === 400
