import protobuf from 'protobufjs'
import { type Kind, kindOf, TYPE_NAMES } from '../cache/resource.ts'
import { registry } from '../proto/registry.ts'
import { typeUrl } from '../translate/names.ts'
import type { DeltaRequest } from './delta-subscription.ts'
import type { Response } from './next-response.ts'

export const DELTA_ADS_PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'

/** What a node sends. `kind` is undefined for a type that is not served. */
export interface NodeRequest {
  readonly nodeId: string
  readonly typeUrl: string
  readonly kind: Kind | undefined
  readonly request: DeltaRequest
}

interface WireRequest {
  readonly node?: { readonly id?: string } | null
  readonly type_url: string
  readonly resource_names_subscribe: readonly string[]
  readonly resource_names_unsubscribe: readonly string[]
  readonly initial_resource_versions: Readonly<Record<string, string>>
  readonly response_nonce: string
  readonly error_detail?: { readonly message?: string } | null
}

const requestType = registry.lookupType('envoy.service.discovery.v3.DeltaDiscoveryRequest')

export function decodeRequest(bytes: Buffer): NodeRequest {
  const wire = requestType.decode(bytes) as unknown as WireRequest
  return {
    nodeId: wire.node?.id ?? '',
    typeUrl: wire.type_url,
    kind: kindOf(wire.type_url),
    request: {
      subscribe: wire.resource_names_subscribe,
      unsubscribe: wire.resource_names_unsubscribe,
      initialVersions: wire.initial_resource_versions,
      nonce: wire.response_nonce,
      refusal: wire.error_detail ? (wire.error_detail.message ?? '') : undefined,
    },
  }
}

/** Wire tags of DeltaDiscoveryResponse; all its fields are length-delimited. */
const TAG = { resources: (2 << 3) | 2, typeUrl: (4 << 3) | 2, nonce: (5 << 3) | 2, removedResources: (6 << 3) | 2 }

/** A DeltaDiscoveryResponse around resources that are encoded already: nothing is encoded once per node. */
export function encodeResponse({ kind, nonce, resources, removed }: Response): Buffer {
  const writer = protobuf.Writer.create()
  for (const { bytes } of resources) writer.uint32(TAG.resources).bytes(bytes)
  writer.uint32(TAG.typeUrl).string(typeUrl(TYPE_NAMES[kind]))
  writer.uint32(TAG.nonce).string(nonce)
  for (const name of removed) writer.uint32(TAG.removedResources).string(name)
  return Buffer.from(writer.finish())
}
