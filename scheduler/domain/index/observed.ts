/** What agents reported, found by replica and by model. */
import type { InternalName, ObservedDocument, ReplicaKey } from '../documents.ts'
import { compareReplicaKeys, parseInternalName } from '../names.ts'
import { createGroups } from './groups.ts'

export interface ObservedIndex {
  /** Returns what stood before. */
  readonly put: (
    replica: ReplicaKey,
    name: InternalName,
    document: ObservedDocument | undefined,
  ) => ObservedDocument | undefined
  readonly get: (replica: ReplicaKey, name: InternalName) => ObservedDocument | undefined
  readonly on: (replica: ReplicaKey) => ReadonlyMap<InternalName, ObservedDocument>
  readonly replicasWith: (name: InternalName) => readonly ReplicaKey[]
  /** 0 when no version of the model is known to any agent. */
  readonly highestVersion: (model: string) => number
}

export function createObservedIndex(): ObservedIndex {
  const byReplica = new Map<ReplicaKey, Map<InternalName, ObservedDocument>>()
  const replicasByName = createGroups<InternalName, ReplicaKey>()
  const namesByModel = createGroups<string, InternalName>()
  const nothing: ReadonlyMap<InternalName, ObservedDocument> = new Map()

  function remove(replica: ReplicaKey, name: InternalName): void {
    const onReplica = byReplica.get(replica)
    onReplica?.delete(name)
    if (onReplica?.size === 0) byReplica.delete(replica)
    replicasByName.remove(name, replica)
    if (replicasByName.get(name).size === 0) namesByModel.remove(parseInternalName(name).model, name)
  }

  function put(
    replica: ReplicaKey,
    name: InternalName,
    document: ObservedDocument | undefined,
  ): ObservedDocument | undefined {
    const before = byReplica.get(replica)?.get(name)
    if (document === undefined) {
      remove(replica, name)
      return before
    }
    const onReplica = byReplica.get(replica) ?? new Map<InternalName, ObservedDocument>()
    byReplica.set(replica, onReplica.set(name, document))
    replicasByName.add(name, replica)
    namesByModel.add(parseInternalName(name).model, name)
    return before
  }

  return {
    put,
    get: (replica, name) => byReplica.get(replica)?.get(name),
    on: (replica) => byReplica.get(replica) ?? nothing,
    replicasWith: (name) => [...replicasByName.get(name)].toSorted(compareReplicaKeys),
    highestVersion: (model) =>
      [...namesByModel.get(model)].reduce((highest, name) => Math.max(highest, parseInternalName(name).version), 0),
  }
}
