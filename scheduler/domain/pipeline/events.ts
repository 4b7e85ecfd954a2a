/** What a reconciliation did, told for `describe`; computed from the record before and after it. */
import type { EventDocument, PipelineDocument, PipelineState } from '../documents.ts'
import { sameValue } from '../same-value.ts'

const WARNING_STATES: ReadonlySet<PipelineState> = new Set(['PipelineFailed', 'PipelineFailedTerminating'])

export function toPipelineEvents(
  before: PipelineDocument,
  after: PipelineDocument,
  atMs: number,
): readonly EventDocument[] {
  const event = (kind: EventDocument['kind'], reason: string, message: string): EventDocument => ({
    atMs,
    kind,
    reason,
    message,
  })
  const switched = after.serving !== undefined && after.serving !== before.serving
  const isWarning = WARNING_STATES.has(after.status.state)
  const says = after.status.state !== before.status.state || (isWarning && after.status.reason !== before.status.reason)
  return [
    ...(switched ? [event('info', 'Serving', `Version ${String(after.serving)} serves from now on`)] : []),
    ...(before.route !== undefined && after.route === undefined
      ? [event('info', 'Unrouted', 'It is taken out of the routes')]
      : []),
    ...(says ? [event(isWarning ? 'warning' : 'info', after.status.state, after.status.reason)] : []),
    ...modelEvents(before, after).map(([reason, message]) => event('info', reason, message)),
  ]
}

function modelEvents(before: PipelineDocument, after: PipelineDocument): readonly (readonly [string, string])[] {
  const missing = after.status.missingModels
  if (sameValue(before.status.missingModels, missing)) return []
  return missing.length === 0
    ? [['ModelsReady', 'All models of its steps are available']]
    : [['ModelsMissing', `Models that are not available: ${missing.join(', ')}`]]
}
