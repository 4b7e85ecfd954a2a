/** One gRPC call written by hand over HTTP/2: the body is any bytes, in any pieces. */
import { connect, type ClientHttp2Session } from 'node:http2'

const CALL_DEADLINE_MS = 20_000

export interface CallResult {
  readonly httpStatus: number
  /** Undefined when the stream was reset without one. */
  readonly grpcStatus: string | undefined
  readonly grpcMessage: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface RawCall {
  readonly port: number
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Written one after another, each once the one before is on its way. */
  readonly chunks: readonly Uint8Array[]
}

/** Makes the call on a connection of its own. */
export async function callRaw({ port, path, headers, chunks }: RawCall): Promise<CallResult> {
  const session = connect(`http://127.0.0.1:${String(port)}`)
  try {
    return await exchange(session, path ?? '/inference.GRPCInferenceService/ModelInfer', headers ?? {}, chunks)
  } finally {
    session.destroy()
  }
}

function exchange(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>>,
  chunks: readonly Uint8Array[],
): Promise<CallResult> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      reject(new Error(`no answer to ${path} within ${String(CALL_DEADLINE_MS)} ms`))
    }, CALL_DEADLINE_MS)
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    })
    let seen: Record<string, string | string[] | undefined> = {}
    stream.on('response', (response) => {
      seen = { ...seen, ...(response as typeof seen), ':status': String(response[':status']) }
    })
    stream.on('trailers', (trailers) => {
      seen = { ...seen, ...(trailers as typeof seen) }
    })
    const finish = () => {
      clearTimeout(deadline)
      resolve({
        httpStatus: Number(seen[':status'] ?? 0),
        grpcStatus: seen['grpc-status']?.toString(),
        grpcMessage: decodeURIComponent(seen['grpc-message']?.toString() ?? ''),
        headers: seen,
      })
    }
    stream.on('close', finish)
    stream.on('error', finish)
    session.on('error', finish)
    stream.resume()
    void writeAll(stream, chunks)
  })
}

async function writeAll(stream: NodeJS.WritableStream, chunks: readonly Uint8Array[]): Promise<void> {
  for (const chunk of chunks) await new Promise((done) => stream.write(chunk, done))
  stream.end()
}
