/**
 * An HTTP/1.1 server for one kind of client, which asks much and always in the same way: our Envoy. Node's own takes several times
 * the CPU for a request. It speaks what the standard asks of a server; what it does not understand, it refuses.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { BodyLimits } from '../body-limits.ts'
import type { WatchedCertificates } from '../certificates.ts'
import { followCertificates, toTlsOptions } from '../http.ts'
import { Connection, type Shared } from './connection.ts'
import { BodyRoom } from './exchange.ts'

export interface Http1ServerDeps extends Pick<Shared, 'handle' | 'isAccepting'> {
  readonly limits: BodyLimits
  readonly tls: WatchedCertificates | undefined
}

export interface Http1Server {
  /** For `listen`. */
  readonly server: Server
  /** Closes all connections, whatever runs on them. */
  readonly stop: () => Promise<void>
}

const TICK_MS = 1_000
const HANDSHAKE_TIMEOUT_MS = 10_000

export function createHttp1Server({ limits, tls, handle, isAccepting }: Http1ServerDeps): Http1Server {
  const shared: Shared = { room: new BodyRoom(limits), handle, isAccepting, now: 0 }
  const connections = new Set<Connection>()
  const onClose = (connection: Connection): void => {
    connections.delete(connection)
  }
  const onSocket = (socket: Socket): void => {
    connections.add(new Connection(shared, socket, onClose))
  }
  const server = tls === undefined ? createServer({ noDelay: true }, onSocket) : createSecure(tls, onSocket)
  const tick = setInterval(() => {
    shared.now += 1
    for (const connection of connections) connection.checkDeadline()
  }, TICK_MS).unref()
  return {
    server,
    stop: () =>
      new Promise((resolve) => {
        clearInterval(tick)
        server.close(() => {
          resolve()
        })
        for (const connection of connections) connection.destroy()
      }),
  }
}

function createSecure(tls: WatchedCertificates, onSocket: (socket: Socket) => void): Server {
  const options = { noDelay: true, ALPNProtocols: ['http/1.1'], handshakeTimeout: HANDSHAKE_TIMEOUT_MS }
  return followCertificates(createTlsServer({ ...toTlsOptions(tls), ...options }, onSocket), tls)
}
