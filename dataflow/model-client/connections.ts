/**
 * A few HTTP/2 connections to Envoy's ingress, each opened when it is needed and anew when it has ended. Several, because
 * Envoy keeps a connection on one of its threads.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2'
import { type Certificates, toContext } from '../../kit/certificates.ts'

const NO_CERTIFICATES: Certificates = { cert: undefined, key: undefined, ca: undefined }
/** How much of one answer may be on its way before it is read. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024
const SESSION_WINDOW_BYTES = 32 * 1024 * 1024
/** Megabytes that all calls of a connection may hold; Node's 10 would refuse calls long before their windows are full. */
const SESSION_MEMORY_MB = 1_024

export interface Connections {
  /** Fails by the stream's events when nobody answers there. */
  readonly request: (headers: OutgoingHttpHeaders) => ClientHttp2Stream
  readonly destroy: () => void
}

/** `tls` is asked for each new connection, so that replaced certificates are used. */
export function createConnections(url: string, count: number, tls: () => Certificates | undefined): Connections {
  const current: (ClientHttp2Session | undefined)[] = Array.from({ length: count })
  let turn = 0
  let destroyed = false

  function open(index: number): ClientHttp2Session {
    const session = connect(url, {
      ...toContext(tls() ?? NO_CERTIFICATES),
      maxSessionMemory: SESSION_MEMORY_MB,
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
    })
    session.once('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(SESSION_WINDOW_BYTES)
    })
    const leave = (): void => {
      if (current[index] === session) current[index] = undefined
    }
    session.on('error', leave) // its streams say so to their calls
    session.on('goaway', leave)
    session.on('close', leave)
    current[index] = session
    return session
  }

  return {
    request: (headers) => {
      if (destroyed) throw new Error('the client was closed')
      turn = (turn + 1) % count
      const session = current[turn]
      const usable = session === undefined || session.closed || session.destroyed ? open(turn) : session
      return usable.request(headers, { endStream: false })
    },
    destroy: () => {
      destroyed = true
      for (const session of current) session?.destroy()
    },
  }
}
