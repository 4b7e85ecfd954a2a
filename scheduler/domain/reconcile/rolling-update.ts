/**
 * The arithmetic of a rolling update: how many copies of each version there shall be. Pure.
 * I5: the old version stays until the new one has min(desired, what the old one had), less what may be unavailable.
 */
import type { ModelDocument, RollingUpdate } from '../documents.ts'
import type { ClusterView } from '../cluster.ts'
import { isReady } from '../copy.ts'
import { routedVersion, wantedReplicas, wantedVersion } from '../model-facts.ts'

export interface RollingCounts {
  /** Copies of the wanted version at most, for now. */
  readonly next: number
  /** Copies of the serving version at least, for now. */
  readonly serving: number
  /** The wanted version takes over with so many ready. */
  readonly needed: number
}

/** Undefined: there is no update under way, or it goes all at once. */
export function rollingCounts(model: ModelDocument, cluster: ClusterView): RollingCounts | undefined {
  const { rollingUpdate } = model.deployment
  const desired = wantedReplicas(model)
  const serving = routedVersion(model)
  const wanted = wantedVersion(model)
  if (rollingUpdate === undefined || desired === 0 || model.route === undefined) return undefined
  if (serving === undefined || serving === wanted || model.refused !== undefined) return undefined
  const { surge, unavailable } = resolveRollingUpdate(rollingUpdate, desired)
  const { route } = model
  const had = route.had ?? route.replicas.length
  // Copies that do not answer hold nothing up.
  const present = model.versions
    .filter((version) => version !== wanted)
    .flatMap((version) => [
      ...version.assigned.filter((key) => isReady(model, version, key, cluster)),
      ...Object.keys(version.leaving),
    ]).length
  // Only what Envoy follows lets the old copies go (I1).
  const carrying = route.ackedAtMs !== undefined && route.next?.version === wanted.version ? route.next.weight : 0
  const needed = Math.max(1, Math.min(desired, had) - unavailable)
  return {
    next: Math.max(0, Math.min(desired, desired + surge - present)),
    serving: Math.max(1, needed - carrying),
    needed,
  }
}

/**
 * As Kubernetes does: shares of surplus are rounded up, of lack down; both 0 would never move, so one may be missing then. A
 * single replica is never taken away before there is another.
 */
export function resolveRollingUpdate(
  { maxSurge, maxUnavailable }: RollingUpdate,
  replicas: number,
): { readonly surge: number; readonly unavailable: number } {
  const surge = Math.ceil(toCount(maxSurge, replicas))
  const unavailable = Math.min(replicas, Math.floor(toCount(maxUnavailable, replicas)))
  if (replicas === 1) return { surge: Math.max(1, surge), unavailable: 0 }
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable }
}

const toCount = (value: number | string, replicas: number): number =>
  typeof value === 'number' ? value : (Number(value.slice(0, -1)) / 100) * replicas
