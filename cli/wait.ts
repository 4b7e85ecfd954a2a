/** Waiting for a resource: what is met, what can still come, and what cannot. */
import type { StoredResource } from '../api/resources/status.ts'
import { type Backoff, backoffMs, pause } from '../kit/backoff.ts'
import { ServingError, toServingError } from '../kit/errors.ts'
import type { AdminClient, WatchEvent } from './client/admin-client.ts'
import { formatReference, type Reference } from './reference.ts'

export const CONDITIONS = ['available', 'deleted'] as const
export type Condition = (typeof CONDITIONS)[number]

export type Verdict =
  | { readonly kind: 'met' }
  | { readonly kind: 'pending'; readonly reason: string }
  /** It cannot come unless somebody changes something. */
  | { readonly kind: 'impossible'; readonly reason: string }

const AVAILABLE_STATES = new Set(['ModelAvailable', 'ServerReady', 'PipelineReady', 'ExperimentActive'])
const FAILED_STATES = new Set(['ModelFailed', 'ScheduleFailed', 'ModelTerminateFailed', 'PipelineFailed'])
const RECONNECT: Backoff = { minMs: 200, maxMs: 2_000 }

export function judge(event: WatchEvent, condition: Condition): Verdict {
  if (event.kind === 'deleted')
    return condition === 'deleted' ? { kind: 'met' } : { kind: 'impossible', reason: 'it was deleted' }
  const { status } = event.resource
  const state = status?.state ?? 'not known yet'
  const missing = event.resource.kind === 'Pipeline' ? (event.resource.status?.missingModels ?? []) : []
  const reason = [
    status?.reason ? `${state}: ${status.reason}` : state,
    ...(missing.length === 0 ? [] : [`models that are not available: ${missing.join(', ')}`]),
  ].join('; ')
  if (!isSettled(event.resource)) return { kind: 'pending', reason: 'the scheduler has not seen this change yet' }
  if (condition === 'available' && isAvailable(event.resource)) return { kind: 'met' }
  const failed =
    condition === 'deleted' ? state === 'ModelTerminateFailed' : FAILED_STATES.has(state) && !isRetried(status)
  return { kind: failed ? 'impossible' : 'pending', reason }
}

/** A pipeline is Ready while a model of it is not; then it answers nothing. */
const isAvailable = ({ kind, status }: StoredResource): boolean =>
  AVAILABLE_STATES.has(status?.state ?? '') && (kind !== 'Pipeline' || status?.modelsReady !== false)

/** A load that failed and is tried again by itself can still come. */
const isRetried = (status: StoredResource['status']): boolean =>
  status !== undefined && 'retrying' in status && status.retrying === true

/** False while the status speaks of an earlier spec, or an earlier version still answers in place of the wanted one. */
function isSettled(resource: StoredResource): boolean {
  const { generation } = resource.metadata
  const observed = resource.status?.observedGeneration
  if (generation !== undefined && observed !== undefined && observed < generation) return false
  if (resource.kind !== 'Model' && resource.kind !== 'Pipeline') return true
  const { status } = resource
  if (!AVAILABLE_STATES.has(status?.state ?? '')) return true
  return status?.servingVersion === undefined || status.servingVersion === status.version
}

/**
 * Follows the resource until the condition is met, cannot come, or the time is over. A scheduler that restarts meanwhile
 * is waited for; one that was never there is not.
 * @throws ServingError DEADLINE_EXCEEDED with the last state seen, CONDITION_FAILED with the reason why it cannot come
 */
export async function waitFor(
  admin: AdminClient,
  target: Reference,
  condition: Condition,
  timeoutMs: number,
): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs)
  let lastSeen = 'nothing was heard of it'
  let verdict = await judgeNow(admin, target, condition)
  for (let attempt = 0; verdict.kind === 'pending' && !signal.aborted; attempt++) {
    if (attempt > 0) await pause(backoffMs(attempt, RECONNECT), signal)
    lastSeen = verdict.reason
    try {
      for await (const event of admin.watch(target.kind, target.name, signal)) {
        verdict = judge(event, condition)
        if (verdict.kind !== 'pending') break
        lastSeen = verdict.reason
        attempt = 0
      }
    } catch (error) {
      const failure = toServingError(error)
      if (failure.grpcStatus === NOT_FOUND) verdict = gone(condition)
      else if (!failure.retryable) throw failure
    }
  }
  const subject = formatReference(target)
  if (verdict.kind === 'met') return
  if (verdict.kind === 'impossible')
    throw new ServingError('CONDITION_FAILED', `${subject} cannot become ${condition}: ${verdict.reason}`)
  throw new ServingError(
    'DEADLINE_EXCEEDED',
    `${subject} is not ${condition} after ${String(timeoutMs / 1_000)} s; last seen: ${lastSeen}`,
  )
}

const NOT_FOUND = 5
const gone = (condition: Condition): Verdict => judge({ kind: 'deleted', name: '' }, condition)

/** @throws ServingError MODEL_NOT_FOUND when there is nothing to wait for */
async function judgeNow(admin: AdminClient, target: Reference, condition: Condition): Promise<Verdict> {
  try {
    const { resource } = await admin.get(target.kind, target.name)
    return judge({ kind: 'state', resource }, condition)
  } catch (error) {
    if (condition === 'deleted' && toServingError(error).grpcStatus === NOT_FOUND) return { kind: 'met' }
    throw error
  }
}
