/**
 * The memory account: what each replica's copies take. A copy counts from the moment it is desired until its agent has said
 * that it is unloaded, so nothing is placed into memory that is about to be free.
 */
import { desiredReplicas } from '../desired.ts'
import type { InternalName, ModelDocument, ReplicaKey } from '../documents.ts'
import { parseInternalName } from '../names.ts'
import { createGroups } from './groups.ts'
import type { ObservedIndex } from './observed.ts'

export interface Reservations {
  /** Computes this copy's reservation again. */
  readonly refresh: (replica: ReplicaKey, name: InternalName) => void
  /** The same for every copy of a model version. */
  readonly refreshAll: (name: InternalName) => void
  readonly total: (replica: ReplicaKey) => number
  readonly has: (replica: ReplicaKey, name: InternalName) => boolean
  readonly memoryBytesOf: (name: InternalName) => number
}

/** What a loaded model takes, for one whose spec does not say. */
const MEMORY_PER_ARTIFACT_BYTE = 1.2
const GONE_STATES: ReadonlySet<string> = new Set(['Unloaded', 'LoadFailed'])

export function createReservations(sources: {
  readonly model: (name: string) => ModelDocument | undefined
  readonly observed: ObservedIndex
}): Reservations {
  const { observed } = sources
  const copies = new Map<ReplicaKey, Map<InternalName, number>>()
  const totals = new Map<ReplicaKey, number>()
  const holders = createGroups<InternalName, ReplicaKey>()

  function versionOf(name: InternalName) {
    const { model, version } = parseInternalName(name)
    return sources.model(model)?.versions.find((candidate) => candidate.version === version)
  }

  function memoryBytesOf(name: InternalName): number {
    const stated = versionOf(name)?.spec.memoryBytes
    if (stated !== undefined) return stated
    const sizes = observed.replicasWith(name).map((key) => observed.get(key, name)?.artifactBytes ?? 0)
    return Math.ceil(Math.max(0, ...sizes) * MEMORY_PER_ARTIFACT_BYTE)
  }

  function isHeld(replica: ReplicaKey, name: InternalName): boolean {
    const version = versionOf(name)
    if (version !== undefined && desiredReplicas(version).includes(replica)) return true
    const seen = observed.get(replica, name)
    return seen !== undefined && !GONE_STATES.has(seen.state)
  }

  function refresh(replica: ReplicaKey, name: InternalName): void {
    const onReplica = copies.get(replica) ?? new Map<InternalName, number>()
    const before = onReplica.get(name) ?? 0
    const held = isHeld(replica, name)
    const after = held ? memoryBytesOf(name) : 0
    if (held) {
      copies.set(replica, onReplica.set(name, after))
      holders.add(name, replica)
    } else {
      onReplica.delete(name)
      holders.remove(name, replica)
      if (onReplica.size === 0) copies.delete(replica)
    }
    const total = (totals.get(replica) ?? 0) + after - before
    if (copies.has(replica)) totals.set(replica, total)
    else totals.delete(replica)
  }

  return {
    refresh,
    refreshAll: (name) => {
      for (const replica of new Set([...holders.get(name), ...observed.replicasWith(name)])) refresh(replica, name)
    },
    total: (replica) => totals.get(replica) ?? 0,
    has: (replica, name) => copies.get(replica)?.has(name) ?? false,
    memoryBytesOf,
  }
}
