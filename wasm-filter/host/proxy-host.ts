/**
 * The host side of proxy-wasm ABI 0.2.1, as far as the filters use it, around one compiled module: enough to run a request
 * through a filter under Node as Envoy would, for `millrace explain` and for tests. Header values and bodies are bytes;
 * strings stand for them as latin-1.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Header = readonly [name: string, value: string]

export interface LocalReply {
  readonly httpStatus: number
  readonly grpcStatus: number
  readonly body: string
  readonly headers: readonly Header[]
}

/** What a response was, as the filters see it when the stream has ended. */
export interface Answered {
  readonly headers?: readonly Header[]
  readonly trailers?: readonly Header[]
  readonly properties?: Readonly<Record<string, Uint8Array>>
}

/** A module of `wasm-filter/build`. */
export type FilterModule = 'router' | 'rename-rest' | 'rename-grpc' | 'mirror'

interface FilterExports {
  readonly memory: WebAssembly.Memory
  readonly proxy_on_memory_allocate: (size: number) => number
  readonly proxy_on_configure?: (rootId: number, size: number) => number
  readonly proxy_on_request_headers?: (contextId: number, headers: number, endOfStream: number) => number
  readonly proxy_on_request_body?: (contextId: number, size: number, endOfStream: number) => number
  readonly proxy_on_response_headers?: (contextId: number, headers: number, endOfStream: number) => number
  readonly proxy_on_response_trailers?: (contextId: number, trailers: number) => number
  readonly proxy_on_log?: (contextId: number) => void
  readonly proxy_on_delete?: (contextId: number) => void
}

const OK = 0
const NOT_FOUND = 1
const BAD_ARGUMENT = 2
const REQUEST_HEADERS = 0
const RESPONSE_HEADERS = 2
const RESPONSE_TRAILERS = 3
const REQUEST_BODY = 0
const PLUGIN_CONFIGURATION = 7
const HISTOGRAM = 2

/** Compiles a module of the build folder once; every host of it is an instance. */
export function compileFilter(folder: string, name: FilterModule): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(join(folder, `${name}.wasm`)))
}

export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1')

export class ProxyHost {
  readonly exports: FilterExports
  readonly logs: string[] = []
  /** Counters by name; histograms as the list of what was recorded. */
  readonly counters = new Map<string, bigint>()
  readonly histograms = new Map<string, bigint[]>()
  requestHeaders: Header[] = []
  answered: Answered = {}
  body = new Uint8Array()
  configuration = new Uint8Array()
  localReply: LocalReply | undefined
  nowNanoseconds = 1_000_000_000n
  /** Calls of the module to the host, and bytes that these handed to it. */
  hostCalls = 0
  bytesHanded = 0
  private readonly metrics = new Map<number, { readonly name: string; readonly kind: number }>()

  constructor(module: WebAssembly.Module) {
    const instance = new WebAssembly.Instance(module, { env: this.counted(this.imports()) })
    this.exports = instance.exports as unknown as FilterExports
  }

  get memoryBytes(): number {
    return this.exports.memory.buffer.byteLength
  }

  /** Gives the plugin its configuration; false when it refused. */
  configure(text: string, rootId = 1): boolean {
    this.configuration = Buffer.from(text)
    return this.exports.proxy_on_configure?.(rootId, this.configuration.length) !== 0
  }

  private counted(imports: Record<string, (...args: never[]) => number>): Record<string, unknown> {
    const count =
      (call: (...args: never[]) => number) =>
      (...args: never[]) => {
        this.hostCalls += 1
        return call(...args)
      }
    return Object.fromEntries(Object.entries(imports).map(([name, call]) => [name, count(call)]))
  }

  private read(ptr: number, size: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, ptr, size).slice()
  }

  private text(ptr: number, size: number): string {
    return latin1(this.read(ptr, size))
  }

  private writeNumber(at: number, value: number): void {
    new DataView(this.exports.memory.buffer).setUint32(at, value, true)
  }

  /** Hands bytes to the module in memory that the module gives, as the real host does. */
  private hand(bytes: Uint8Array, outPtr: number, outSize: number): number {
    this.bytesHanded += bytes.length
    const ptr = bytes.length === 0 ? 0 : this.exports.proxy_on_memory_allocate(bytes.length)
    if (bytes.length > 0) new Uint8Array(this.exports.memory.buffer).set(bytes, ptr)
    this.writeNumber(outPtr, ptr)
    this.writeNumber(outSize, bytes.length)
    return OK
  }

  private headers(map: number): readonly Header[] {
    if (map === REQUEST_HEADERS) return this.requestHeaders
    if (map === RESPONSE_HEADERS) return this.answered.headers ?? []
    if (map === RESPONSE_TRAILERS) return this.answered.trailers ?? []
    throw new Error(`the filter asks for header map ${String(map)}`)
  }

  private buffer(kind: number): Uint8Array {
    if (kind === REQUEST_BODY) return this.body
    if (kind === PLUGIN_CONFIGURATION) return this.configuration
    throw new Error(`the filter asks for buffer ${String(kind)}`)
  }

  private imports(): Record<string, (...args: never[]) => number> {
    return {
      proxy_log: (_level: number, ptr: number, size: number) => {
        this.logs.push(this.text(ptr, size))
        return OK
      },
      proxy_get_header_map_pairs: (map: number, outPtr: number, outSize: number) =>
        this.hand(serializePairs(this.headers(map)), outPtr, outSize),
      proxy_get_header_map_value: (map: number, key: number, keySize: number, outPtr: number, outSize: number) => {
        const name = this.text(key, keySize)
        const values = this.headers(map).flatMap(([key, value]) => (key === name ? [value] : []))
        return values.length === 0 ? NOT_FOUND : this.hand(bytesOf(values.join(',')), outPtr, outSize)
      },
      proxy_add_header_map_value: (_map: number, key: number, keySize: number, value: number, valueSize: number) => {
        this.requestHeaders.push([this.text(key, keySize), this.text(value, valueSize)])
        return OK
      },
      proxy_replace_header_map_value: (_map: number, key: number, keySize: number, value: number, size: number) => {
        this.replaceHeader(this.text(key, keySize), this.text(value, size))
        return OK
      },
      proxy_remove_header_map_value: (_map: number, key: number, keySize: number) => {
        const name = this.text(key, keySize)
        this.requestHeaders = this.requestHeaders.filter(([key]) => key !== name)
        return OK
      },
      proxy_get_buffer_bytes: (kind: number, start: number, length: number, outPtr: number, outSize: number) => {
        const buffer = this.buffer(kind)
        if (start < 0 || length < 0 || start > buffer.length) return BAD_ARGUMENT
        return this.hand(buffer.subarray(start, start + length), outPtr, outSize)
      },
      proxy_set_buffer_bytes: (_kind: number, start: number, length: number, ptr: number, size: number) =>
        this.setBody(start, length, this.read(ptr, size)),
      proxy_get_property: (path: number, pathSize: number, outPtr: number, outSize: number) => {
        const value = this.answered.properties?.[this.text(path, pathSize).replaceAll('\0', '.')]
        return value === undefined ? NOT_FOUND : this.hand(value, outPtr, outSize)
      },
      proxy_send_local_response: (
        httpStatus: number,
        _details: number,
        _detailsSize: number,
        body: number,
        bodySize: number,
        headers: number,
        headersSize: number,
        grpcStatus: number,
      ) => {
        const pairs = headersSize === 0 ? [] : parsePairs(this.read(headers, headersSize))
        this.localReply = { httpStatus, grpcStatus, body: this.text(body, bodySize), headers: pairs }
        return OK
      },
      proxy_define_metric: (kind: number, ptr: number, size: number, outId: number) => {
        const id = this.metrics.size + 1
        const name = this.text(ptr, size)
        this.metrics.set(id, { name, kind })
        this.writeNumber(outId, id)
        return OK
      },
      proxy_increment_metric: (id: number, amount: bigint) => {
        const name = this.metricName(id)
        this.counters.set(name, (this.counters.get(name) ?? 0n) + amount)
        return OK
      },
      proxy_record_metric: (id: number, value: bigint) => {
        if (this.metrics.get(id)?.kind !== HISTOGRAM) return BAD_ARGUMENT
        const name = this.metricName(id)
        this.histograms.set(name, [...(this.histograms.get(name) ?? []), value])
        return OK
      },
      proxy_get_current_time_nanoseconds: (out: number) => {
        new DataView(this.exports.memory.buffer).setBigUint64(out, this.nowNanoseconds, true)
        return OK
      },
    }
  }

  private metricName(id: number): string {
    const metric = this.metrics.get(id)
    if (metric === undefined) throw new Error(`the filter counts in metric ${String(id)}, which it did not define`)
    return metric.name
  }

  private replaceHeader(name: string, value: string): void {
    const at = this.requestHeaders.findIndex(([key]) => key === name)
    if (at === -1) this.requestHeaders.push([name, value])
    else this.requestHeaders[at] = [name, value]
  }

  /** As Envoy does it: at the start (which drains), or at the end; nowhere else. */
  private setBody(start: number, length: number, bytes: Uint8Array): number {
    if (start === 0) this.body = Buffer.concat([bytes, this.body.subarray(length)])
    else if (start >= this.body.length) this.body = Buffer.concat([this.body, bytes])
    else return BAD_ARGUMENT
    return OK
  }
}

function serializePairs(headers: readonly Header[]): Uint8Array {
  const sizes = Buffer.alloc(4 + headers.length * 8)
  sizes.writeUInt32LE(headers.length, 0)
  headers.forEach(([name, value], index) => {
    sizes.writeUInt32LE(name.length, 4 + index * 8)
    sizes.writeUInt32LE(value.length, 8 + index * 8)
  })
  return Buffer.concat([sizes, ...headers.map(([name, value]) => bytesOf(`${name}\0${value}\0`))])
}

function parsePairs(bytes: Uint8Array): Header[] {
  const view = Buffer.from(bytes)
  let at = 4 + view.readUInt32LE(0) * 8
  return Array.from({ length: view.readUInt32LE(0) }, (_, index) => {
    const nameEnd = at + view.readUInt32LE(4 + index * 8)
    const valueEnd = nameEnd + 1 + view.readUInt32LE(8 + index * 8)
    const header: Header = [view.toString('latin1', at, nameEnd), view.toString('latin1', nameEnd + 1, valueEnd)]
    at = valueEnd + 1
    return header
  })
}
