/** Records of server replicas that are gone for good. Pure. */
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { ReplicaDocument } from '../domain/documents.ts'
import type { Write } from '../domain/store.ts'

/** The writes that forget one replica after the other, at most `maxWrites`; call again for the rest. */
export function planForget(cluster: ClusterState, nowMs: number, graceMs: number, maxWrites: number): Write[] {
  const writes: Write[] = []
  for (const replica of cluster.replicas()) {
    if (writes.length >= maxWrites) break
    if (!isGone(cluster, replica, nowMs, graceMs)) continue
    const { key } = replica
    const observed = [...cluster.observedOn(key).keys()]
    writes.push(...observed.map((name): Write => ({ kind: 'observed', replica: key, name, document: undefined })))
    writes.push({ kind: 'replica', name: key, expectedRevision: replica.revision, document: undefined })
  }
  return writes.slice(0, maxWrites)
}

/** A replica went away in good order: it need not wait for the next look. */
export const hasDrainedAndLeft = (change: DocumentChange): boolean =>
  change.kind === 'replica' && change.after?.draining === true && change.after.agent.kind === 'lost'

/** Away for longer than the grace, or drained because its server was scaled down; nothing is wanted on it, nobody expects it back. */
function isGone(cluster: ClusterState, replica: ReplicaDocument, nowMs: number, graceMs: number): boolean {
  if (replica.agent.kind === 'connected') return false
  const expected = cluster.server(replica.server)?.expectedReplicas ?? -1
  const isScaledAway = replica.draining && expected >= 0
  if (!isScaledAway && nowMs - replica.agent.sinceMs < graceMs) return false
  return cluster.copiesOn(replica.key) === 0 && replica.index >= expected
}
