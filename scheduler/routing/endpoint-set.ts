/** Server replicas -> endpoint sets. Models on the same replicas, reached the same way, share one set, hence Envoy's clusters. */
import type { ClusterView } from '../domain/cluster.ts'
import { isPathCut } from '../domain/data-path.ts'
import type { DataPath, ReplicaDocument, ReplicaKey } from '../domain/documents.ts'
import { compareReplicaKeys } from '../domain/names.ts'
import type { EndpointIr, EndpointSetIr } from '../../xds/index.ts'

/** The endpoint set of all replicas of all servers, for calls that name no model; an underscore cannot be in a model's name. */
export const MESH = '_mesh'

/** Longer ids are replaced by a hash: Envoy repeats them in every statistic. */
const MAX_READABLE_LENGTH = 60

/** Of sets, and of the endpoints in them, that are reached through the agents' proxies. */
const THROUGH_AGENT = '@agent'

/** Stable for a set of replicas and a data path, whatever their order: `embedded/0+embedded/1`, `embedded/0@agent`. */
export function toEndpointSetId(replicas: readonly ReplicaKey[], path: DataPath = 'direct'): string {
  const suffix = path === 'agent' ? THROUGH_AGENT : ''
  const sorted = replicas.toSorted(compareReplicaKeys)
  const readable = sorted.join('+')
  if (readable.length <= MAX_READABLE_LENGTH) return `${readable}${suffix}`
  return `set-${String(sorted.length)}-${hash(readable, 0x811c9dc5)}${hash(readable, 0x9dc5811c)}${suffix}`
}

/** A replica that is not known any more is left out; the others keep serving. */
export function toEndpointSet(replicas: readonly ReplicaKey[], path: DataPath, cluster: ClusterView): EndpointSetIr {
  const known = replicas.toSorted(compareReplicaKeys).flatMap((key) => cluster.replica(key) ?? [])
  return {
    id: toEndpointSetId(replicas, path),
    endpoints: known.flatMap((replica) => toEndpoint(replica, path) ?? []),
    nameSource: toNameSource(path, known[0]),
  }
}

/** A version never spans servers, and a server is of one kind. An agent's proxy reads the header and renames for its server. */
export function toNameSource(path: DataPath, replica: ReplicaDocument | undefined): EndpointSetIr['nameSource'] {
  return path === 'agent' ? 'header' : (replica?.nameSource ?? 'header')
}

/** Calls to the mesh carry no model name, so nothing needs to be renamed. */
export function toMeshSet(replicas: Iterable<ReplicaDocument>): EndpointSetIr {
  const sorted = [...replicas].toSorted((a, b) => compareReplicaKeys(a.key, b.key))
  return { id: MESH, endpoints: sorted.flatMap((replica) => toEndpoint(replica, 'direct') ?? []), nameSource: 'header' }
}

/** Undefined: there is no such way to this replica. */
export function toEndpoint(replica: ReplicaDocument, path: DataPath): EndpointIr | undefined {
  const { key, address, restPort, grpcPort, tls, proxy } = replica
  const health = healthOf(replica, path)
  if (path === 'direct') return { id: key, address, restPort, grpcPort, ...(tls && { tls }), health }
  return proxy && { id: `${key}${THROUGH_AGENT}`, address, ...proxy, health }
}

/** A lost agent says nothing about its server: the endpoint stays as it was last seen. Its own proxy is lost with it. */
function healthOf(replica: ReplicaDocument, path: DataPath): EndpointIr['health'] {
  if (isPathCut(replica, path)) return 'unhealthy'
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
