/** One HTTP/2 connection to the model server, opened when it is needed and anew when it has ended. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2'
import { toContext, type WatchedCertificates } from '../../kit/certificates.ts'

/** How much of one call may wait here for a reader: Node gives connections no window of their own. */
export const STREAM_WINDOW_BYTES = 256 * 1024
/** Megabytes that all calls of a connection may hold; Node's 10 would refuse calls long before their windows are full. */
export const SESSION_MEMORY_MB = 512

export interface GrpcUpstream {
  /** Fails by the stream's events when there is no server. */
  readonly request: (headers: OutgoingHttpHeaders) => ClientHttp2Stream
  /** Calls in flight end by themselves. */
  readonly close: () => void
  readonly destroy: () => void
}

export function createGrpcUpstream(host: string, port: number, tls: WatchedCertificates | undefined): GrpcUpstream {
  const authority = `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${String(port)}`
  let current: ClientHttp2Session | undefined

  function open(): ClientHttp2Session {
    const session = connect(authority, {
      ...(tls && toContext(tls.current())),
      maxSessionMemory: SESSION_MEMORY_MB,
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
    })
    const leave = (): void => {
      if (current === session) current = undefined
    }
    session.on('error', leave) // its streams say so to their calls
    session.on('goaway', leave)
    session.on('close', leave)
    return session
  }

  return {
    request: (headers) => {
      if (current === undefined || current.closed || current.destroyed) current = open()
      return current.request(headers, { endStream: false })
    },
    close: () => current?.close(),
    destroy: () => current?.destroy(),
  }
}
