/**
 * One step of a model towards what users asked: the heart of the scheduler. Pure, and harmless when repeated: it compares what is
 * wanted with what was observed and changes the record by what can be done now.
 *
 * I1 make before break: a replica enters a route only when loaded (route-model.ts), and leaves it only when its replacement
 *    carries traffic (trim-version.ts).
 * I2 a version is Available only once its route is ACKed (`seeAck` below, domain/model-status.ts).
 * I3 a copy is unloaded only after the route change is ACKed and the drain time has passed (leave-replicas.ts).
 * I4 a version that cannot be placed or loaded never changes what serves (route-model.ts).
 * I5 the switch to a new version waits for min(desired, what the old one had) (route-model.ts).
 */
import type { ClusterView } from '../cluster.ts'
import { NEXT_COMMIT, type ModelDocument } from '../documents.ts'
import { routedVersion, settleRevisions, wantedReplicas, wantedVersion } from '../model-facts.ts'
import { toModelStatus } from '../model-status.ts'
import type { ReconcileContext, Reconciliation, Scene } from './context.ts'
import { toEvents } from './events.ts'
import { beginLeaving, continueLeaving, dropFinishedVersions, isPresent } from './leave-replicas.ts'
import { placeServing, placeWanted, withVersion, withoutExplanation } from './place-version.ts'
import { retryLoads } from './retry-loads.ts'
import { routeModel } from './route-model.ts'
import { trimVersion } from './trim-version.ts'
import { isWithheld, wakeAtMs } from './wake.ts'
import { sameValue } from '../same-value.ts'

export function reconcileModel(model: ModelDocument, cluster: ClusterView, context: ReconcileContext): Reconciliation {
  const scene: Scene = { cluster, context }
  const before = settleRevisions(model)
  const acked = seeAck(before, scene)
  const placed = wantedReplicas(acked) === 0 ? forgetPlaces(acked) : place(acked, scene)
  const routed = routeModel(placed, scene)
  const leaving = continueLeaving(beginLeaving(acked, routed), scene)
  const kept = dropFinishedVersions(leaving, scene)
  if (kept.deleted && !kept.versions.some((version) => isPresent(kept, version, scene)))
    return terminated(before, kept, context)
  const after = { ...kept, status: toModelStatus(kept, scene) }
  const wake = wakeAtMs(after, scene)
  return {
    document: sameValue(before, after) ? undefined : after,
    events: toEvents(before, after, context.nowMs),
    ...(wake === undefined ? {} : { wakeAtMs: wake }),
    isWithheld: isWithheld(after, scene),
    remove: false,
  }
}

/** I2: remembers that every counting Envoy has ACKed exactly this route. */
function seeAck(model: ModelDocument, { context }: Scene): ModelDocument {
  const { route } = model
  if (route === undefined || route.ackedAtMs !== undefined || route.sinceRevision === NEXT_COMMIT) return model
  if (model.refused !== undefined || context.isAcked(route.sinceRevision) !== true) return model // I2
  const availableSinceMs = model.availableSinceMs ?? context.nowMs
  return { availableSinceMs, ...model, route: { ackedAtMs: context.nowMs, ...route } }
}

function place(model: ModelDocument, scene: Scene): ModelDocument {
  const placed = placeServing(placeWanted(model, scene), scene)
  const retried = retryLoads(placed, scene)
  const trimmed = trimVersion(retried, wantedVersion(retried), scene)
  const serving = routedVersion(trimmed)
  return serving === undefined || serving === wantedVersion(trimmed) ? trimmed : trimVersion(trimmed, serving, scene)
}

function forgetPlaces(model: ModelDocument): ModelDocument {
  return withVersion(model, withoutExplanation(wantedVersion(model)))
}

function terminated(before: ModelDocument, model: ModelDocument, context: ReconcileContext): Reconciliation {
  const after: ModelDocument = {
    ...model,
    status: {
      state: 'ModelTerminated',
      reason: 'Unloaded everywhere',
      availableReplicas: 0,
      unavailableReplicas: 0,
      changedAtMs: context.nowMs,
    },
  }
  return { document: after, events: toEvents(before, after, context.nowMs), isWithheld: false, remove: true }
}
