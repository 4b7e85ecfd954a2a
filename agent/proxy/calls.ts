/**
 * Which calls pass the proxy, and what they name. The same lists as in wasm-filter/assembly/oip.ts: inference, metadata,
 * readiness and streaming of one model, never the repository API. Pure.
 */

/** The header, or metadata key, in which Envoy names the model and version that it chose. */
export const INTERNAL_NAME_KEY = 'seldon-internal-model'

export interface RestCall {
  /** As it stands in the path, percent-encoding included. */
  readonly name: string
  /** What follows the name and its version: `/infer`, or nothing for metadata; the query included. */
  readonly action: string
}

const REST_PATH = /^\/v2\/(?:models|pipelines)\/([^/?]+)(?:\/versions\/[^/?]+)?(\/[a-z_]+)?(\?.*)?$/
const READS: ReadonlySet<string> = new Set(['', '/ready'])
const INFERS: ReadonlySet<string> = new Set(['/infer', '/infer_stream', '/generate', '/generate_stream'])

/** Undefined: not for a model. */
export function parseRestCall(method: string, path: string): RestCall | undefined {
  const [matched, name = '', action = '', query = ''] = REST_PATH.exec(path) ?? []
  const isListed = method === 'POST' ? INFERS.has(action) : (method === 'GET' || method === 'HEAD') && READS.has(action)
  return matched !== undefined && isListed ? { name, action: `${action}${query}` } : undefined
}

/** The path for a server that reads the versioned name there. */
export const toServerPath = (call: RestCall, internalName: string): string => `/v2/models/${internalName}${call.action}`

const GRPC_PATHS: ReadonlySet<string> = new Set(
  ['ModelInfer', 'ModelStreamInfer', 'ModelMetadata', 'ModelReady'].map(
    (method) => `/inference.GRPCInferenceService/${method}`,
  ),
)

export const isModelCall = (grpcPath: string): boolean => GRPC_PATHS.has(grpcPath)

/** The last value of a header that may be repeated, if it can be an internal name; a broken one is no name. */
export function internalNameOf(value: string | readonly string[] | undefined): string | undefined {
  const last = (typeof value === 'string' ? value.split(',') : value)?.at(-1)?.trim() ?? ''
  return /^[A-Za-z0-9][-_.A-Za-z0-9]{0,73}$/.test(last) ? last : undefined
}
