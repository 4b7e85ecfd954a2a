/** The request that is asked about, from the options of `explain request`. Pure. */
import { ServingError } from '../../kit/errors.ts'
import type { Header } from '../../wasm-filter/host/proxy-host.ts'

export interface RequestOptions {
  readonly path?: string
  readonly method?: string
  readonly grpcMethod?: string
  readonly modelName?: string
  readonly headers: Readonly<Record<string, string>>
}

export interface AskedRequest {
  readonly protocol: 'rest' | 'grpc'
  /** For people: `POST /v2/models/iris/infer`. */
  readonly line: string
  readonly headers: readonly Header[]
  /** The first message of a gRPC call, in its frame. */
  readonly message: Uint8Array | undefined
}

const GRPC_SERVICE = 'inference.GRPCInferenceService'
const ACTIONS_OF_GET = /(?:^\/ready|^\/v2|\/ready|\/live|^\/v2\/(?:models|pipelines)\/[^/]+(?:\/versions\/[^/]+)?)$/

/** @throws ServingError CONFIG_INVALID when the options are of no request, or of two */
export function toAskedRequest(options: RequestOptions): AskedRequest {
  const { path, grpcMethod, modelName } = options
  if (path !== undefined && grpcMethod !== undefined)
    throw new ServingError('CONFIG_INVALID', 'give either --path (REST) or --grpc-method, not both')
  if (grpcMethod !== undefined) return toGrpc(grpcMethod, options)
  if (path !== undefined && modelName !== undefined)
    throw new ServingError(
      'CONFIG_INVALID',
      '--model-name is what a gRPC message says; by REST the path names the model',
    )
  if (path !== undefined) return toRest(path, options)
  if (modelName !== undefined) return toRest(`/v2/models/${encodeURIComponent(modelName)}/infer`, options)
  throw new ServingError('CONFIG_INVALID', 'say which request: --path, --grpc-method or --model-name')
}

function toRest(path: string, { method, headers }: RequestOptions): AskedRequest {
  if (!path.startsWith('/')) throw new ServingError('CONFIG_INVALID', `--path ${path}: must begin with /`)
  const { pathname, search } = new URL(`http://ingress${path}`) // Envoy judges paths with their dots resolved, too
  const verb = (method ?? (ACTIONS_OF_GET.test(pathname) ? 'GET' : 'POST')).toUpperCase()
  return {
    protocol: 'rest',
    line: `${verb} ${pathname}${search}`,
    headers: [[':method', verb], [':path', path], ...Object.entries(headers)],
    message: undefined,
  }
}

/** `ModelInfer`, or a whole path. */
function toGrpc(method: string, { modelName, headers }: RequestOptions): AskedRequest {
  const path = method.startsWith('/') ? method : `/${GRPC_SERVICE}/${method}`
  return {
    protocol: 'grpc',
    line: `gRPC ${path}`,
    headers: [
      [':method', 'POST'],
      [':path', path],
      ['content-type', 'application/grpc'],
      ...Object.entries(headers).filter(([name]) => name !== 'content-type'),
    ],
    message: toMessage(modelName ?? ''),
  }
}

/** `model_name` is field 1 of every message that has one. */
function toMessage(name: string): Uint8Array {
  const text = Buffer.from(name, 'utf8')
  const field = name === '' ? [] : [Buffer.from([0x0a, ...varint(text.length)]), text]
  const body = Buffer.concat(field)
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(body.length, 1)
  return Buffer.concat([frame, body])
}

const varint = (value: number): readonly number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]
