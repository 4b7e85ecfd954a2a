/** The sets of replicas that model versions sit on, counted: placement reuses them so that Envoy's clusters stay few. */
import type { ReplicaKey } from '../documents.ts'
import { compareReplicaKeys, parseReplicaKey } from '../names.ts'

export interface ReplicaSets {
  readonly take: (replicas: readonly ReplicaKey[]) => void
  readonly release: (replicas: readonly ReplicaKey[]) => void
  readonly ofServer: (server: string, size: number) => readonly (readonly ReplicaKey[])[]
}

interface CountedSet {
  readonly replicas: readonly ReplicaKey[]
  uses: number
}

export function createReplicaSets(): ReplicaSets {
  const groups = new Map<string, Map<string, CountedSet>>()

  function place(replicas: readonly ReplicaKey[]): { group: string; id: string; sorted: readonly ReplicaKey[] } {
    const sorted = replicas.toSorted(compareReplicaKeys)
    const server = parseReplicaKey(sorted[0] ?? '/0').server
    return { group: `${server} ${String(sorted.length)}`, id: sorted.join(' '), sorted }
  }

  return {
    take: (replicas) => {
      if (replicas.length === 0) return
      const { group, id, sorted } = place(replicas)
      const sets = groups.get(group) ?? new Map<string, CountedSet>()
      groups.set(group, sets)
      const known = sets.get(id)
      if (known === undefined) sets.set(id, { replicas: sorted, uses: 1 })
      else known.uses += 1
    },
    release: (replicas) => {
      if (replicas.length === 0) return
      const { group, id } = place(replicas)
      const known = groups.get(group)?.get(id)
      if (known === undefined) return
      known.uses -= 1
      if (known.uses === 0) groups.get(group)?.delete(id)
    },
    ofServer: (server, size) =>
      [...(groups.get(`${server} ${String(size)}`)?.values() ?? [])].map((set) => set.replicas),
  }
}
