/** What a reconciliation did, told for `describe`; computed from the record before and after it. */
import type { EventDocument, ModelDocument } from '../documents.ts'
import { wantedVersion } from '../model-facts.ts'
import { sameValue } from '../same-value.ts'

const WARNING_STATES: ReadonlySet<string> = new Set(['ModelFailed', 'ScheduleFailed', 'ModelTerminateFailed'])

export function toEvents(before: ModelDocument, after: ModelDocument, atMs: number): readonly EventDocument[] {
  const event = (kind: EventDocument['kind'], reason: string, message: string): EventDocument => ({
    atMs,
    kind,
    reason,
    message,
  })
  const wantedBefore = wantedVersion(before)
  const wanted = wantedVersion(after)
  const moved = wantedBefore.version !== wanted.version
  const placedAnew = wanted.assigned.filter((key) => moved || !wantedBefore.assigned.includes(key))
  const attempts = wanted.assigned.filter((key) => !moved && wanted.attempts[key] !== wantedBefore.attempts[key])
  const gone = before.versions.filter((old) => !after.versions.some(({ version }) => version === old.version))
  const version = String(wanted.version)
  return [
    ...(moved
      ? [event('info', 'Relocated', `Version ${version} takes the model to ${wanted.server ?? 'another server'}`)]
      : []),
    ...(placedAnew.length > 0 ? [event('info', 'Placed', `Version ${version} goes to ${placedAnew.join(', ')}`)] : []),
    ...attempts.map((key) =>
      event(
        'info',
        'LoadRetried',
        `Version ${version} is tried again on ${key}, attempt ${String((wanted.attempts[key] ?? 0) + 1)}`,
      ),
    ),
    ...routeEvents(before, after).map((message) => event('info', 'Routed', message)),
    ...gone.map((old) => event('info', 'VersionUnloaded', `Version ${String(old.version)} is unloaded everywhere`)),
    ...(before.status.state === after.status.state && !isNewWarning(before, after)
      ? []
      : [event(WARNING_STATES.has(after.status.state) ? 'warning' : 'info', after.status.state, after.status.reason)]),
  ]
}

function isNewWarning(before: ModelDocument, after: ModelDocument): boolean {
  return WARNING_STATES.has(after.status.state) && before.status.reason !== after.status.reason
}

function routeEvents(before: ModelDocument, after: ModelDocument): readonly string[] {
  if (before.route === after.route) return []
  if (after.route === undefined) return [`Version ${String(before.route?.version)} is taken out of the routes`]
  const isSame =
    before.route?.version === after.route.version && before.route.replicas.join() === after.route.replicas.join()
  const { next } = after.route
  const shares =
    next === undefined || sameValue(before.route?.next, next)
      ? []
      : [
          `Version ${String(next.version)} has ${String(next.weight)} of ${String(after.route.replicas.length + next.weight)} shares of the traffic, on ${next.replicas.join(', ')}`,
        ]
  return isSame
    ? shares
    : [...shares, `Version ${String(after.route.version)} is routed to ${after.route.replicas.join(', ')}`]
}
