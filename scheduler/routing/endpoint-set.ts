/** Server replicas -> endpoint sets. Models on the same replicas share one set, hence Envoy's clusters. */
import type { ClusterView } from '../domain/cluster.ts'
import type { ReplicaDocument, ReplicaKey } from '../domain/documents.ts'
import { compareReplicaKeys } from '../domain/names.ts'
import type { EndpointIr, EndpointSetIr } from '../../xds/index.ts'

/** The endpoint set of all replicas of all servers, for calls that name no model; an underscore cannot be in a model's name. */
export const MESH = '_mesh'

/** Longer ids are replaced by a hash: Envoy repeats them in every statistic. */
const MAX_READABLE_LENGTH = 60

/** Stable for a set of replicas, whatever their order: `embedded/0+embedded/1`. */
export function toEndpointSetId(replicas: readonly ReplicaKey[]): string {
  const sorted = replicas.toSorted(compareReplicaKeys)
  const readable = sorted.join('+')
  if (readable.length <= MAX_READABLE_LENGTH) return readable
  return `set-${String(sorted.length)}-${hash(readable, 0x811c9dc5)}${hash(readable, 0x9dc5811c)}`
}

/** A replica that is not known any more is left out; the others keep serving. */
export function toEndpointSet(replicas: readonly ReplicaKey[], cluster: ClusterView): EndpointSetIr {
  const known = replicas.toSorted(compareReplicaKeys).flatMap((key) => cluster.replica(key) ?? [])
  return {
    id: toEndpointSetId(replicas),
    endpoints: known.map(toEndpoint),
    nameSource: known[0]?.nameSource ?? 'header', // a version never spans servers, and a server is of one kind
  }
}

/** Calls to the mesh carry no model name, so nothing needs to be renamed. */
export function toMeshSet(replicas: Iterable<ReplicaDocument>): EndpointSetIr {
  const sorted = [...replicas].toSorted((a, b) => compareReplicaKeys(a.key, b.key))
  return { id: MESH, endpoints: sorted.map(toEndpoint), nameSource: 'header' }
}

export function toEndpoint(replica: ReplicaDocument): EndpointIr {
  return {
    id: replica.key,
    address: replica.address,
    restPort: replica.restPort,
    grpcPort: replica.grpcPort,
    health: healthOf(replica),
  }
}

/** A lost agent says nothing about its server: the endpoint stays as it was last seen. */
function healthOf(replica: ReplicaDocument): EndpointIr['health'] {
  switch (replica.health.kind) {
    case 'down':
    case 'reloading':
      return 'unhealthy'
    case 'serving':
      return replica.draining ? 'draining' : 'healthy'
  }
}

/** FNV-1a, 32 bits, as eight hexadecimal digits. */
function hash(text: string, offsetBasis: number): string {
  let value = offsetBasis
  for (let index = 0; index < text.length; index += 1)
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193) >>> 0
  return value.toString(16).padStart(8, '0')
}
