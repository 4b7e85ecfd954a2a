import { createHash } from 'node:crypto'
import { encode, EncodedAny, type Json } from '../proto/encode.ts'
import { typeUrl } from '../translate/names.ts'

/** The kinds of resources, in the order in which what is new is sent (I1). */
export const KINDS = ['CDS', 'EDS', 'LDS', 'SRDS', 'RDS', 'ECDS'] as const
export type Kind = (typeof KINDS)[number]

export const TYPE_NAMES: Readonly<Record<Kind, string>> = {
  CDS: 'envoy.config.cluster.v3.Cluster',
  EDS: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  LDS: 'envoy.config.listener.v3.Listener',
  SRDS: 'envoy.config.route.v3.ScopedRouteConfiguration',
  RDS: 'envoy.config.route.v3.RouteConfiguration',
  ECDS: 'envoy.config.core.v3.TypedExtensionConfig',
}

const KIND_OF_TYPE_URL = new Map(KINDS.map((kind) => [typeUrl(TYPE_NAMES[kind]), kind]))
export const kindOf = (url: string): Kind | undefined => KIND_OF_TYPE_URL.get(url)

/** One encoded resource, shared by all nodes that are sent it. */
export interface Resource {
  readonly name: string
  /** I9: the hash of the bytes, so that every scheduler, restarted or not, gives equal content an equal version. */
  readonly version: string
  /** When it last changed. */
  readonly revision: number
  /** An `envoy.service.discovery.v3.Resource`, ready to be spliced into a response. */
  readonly bytes: Uint8Array
}

const HASH_CHARACTERS = 22 // 132 bits

/** Encodes a resource. `suffix` is appended to its version. */
export function toResource(kind: Kind, name: string, json: Json, revision: number, suffix = ''): Resource {
  const value = encode(TYPE_NAMES[kind], json)
  const version = createHash('sha256').update(value).digest('base64url').slice(0, HASH_CHARACTERS) + suffix
  const resource = new EncodedAny(typeUrl(TYPE_NAMES[kind]), value)
  return { name, version, revision, bytes: encode('envoy.service.discovery.v3.Resource', { name, version, resource }) }
}
