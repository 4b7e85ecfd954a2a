import type { ClusterView } from '../../domain/cluster.ts'
import type { ReplicaDocument } from '../../domain/documents.ts'
import { toInternalName } from '../../domain/names.ts'
import type { ReplicaFilter } from './filter.ts'

/** The version's memory fits into what is not reserved, or its copy is reserved there already. */
export const memory: ReplicaFilter = {
  name: 'memory',
  refusal: ({ model, version, memoryBytes }, replica, cluster) => {
    const free = freeMemoryBytes(replica, cluster)
    if (memoryBytes <= free || cluster.isReserved(replica.key, toInternalName(model, version))) return undefined
    const reserved = cluster.reservedBytes(replica.key)
    return `has ${String(free)} bytes free (${String(replica.memoryBytes)} less ${String(reserved)} reserved), needs ${String(memoryBytes)}`
  },
}

/** Never below zero: a replica may hold more than it has once it came back smaller. */
export function freeMemoryBytes(replica: ReplicaDocument, cluster: ClusterView): number {
  return Math.max(0, replica.memoryBytes - cluster.reservedBytes(replica.key))
}
