/** What the two protocols share. */
import type { WatchedCertificates } from '../../kit/certificates.ts'
import { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { Traffic } from './traffic.ts'

export interface ProxyDeps {
  /** Where to listen. */
  readonly host: string
  readonly server: { readonly host: string; readonly restPort: number; readonly grpcPort: number }
  /** Of this process, for Envoys; undefined: plain text. */
  readonly tls: WatchedCertificates | undefined
  /** What the server is checked by and shown; undefined: it speaks plain text. */
  readonly serverTls: WatchedCertificates | undefined
  /** How the server learns the internal name. */
  readonly nameSource: 'HEADER' | 'MESSAGE'
  /** To the server for REST (further requests wait), and from Envoys for gRPC. */
  readonly maxConnections: number
  /** In flight and waiting, both protocols together; what comes beyond is refused. */
  readonly maxRequests: number
  readonly traffic: Traffic
  readonly log: Logger
}

export interface ProxyListener {
  readonly port: number
  /** Still takes requests, and asks for no more of them on their connections. */
  readonly retire: () => void
  /** Takes nothing new; resolves when what was in flight has ended. */
  readonly drain: () => Promise<void>
  /** Ends what is in flight. */
  readonly destroy: () => void
}

/** Under this name a call counts that names no model in a header or path. */
export const UNNAMED = '_unnamed'

export const toOverloadedError = (maxRequests: number): ServingError =>
  new ServingError(
    'SERVER_OVERLOADED',
    `${String(maxRequests)} requests are in the proxy of this replica already: send fewer at once, or raise --proxy-max-requests of its agent`,
  )

/** Of a call that the server did not answer. `SERVER_UNREACHABLE`: it got nothing of it, so Envoy tries another replica. */
export function toServerError(error: NodeJS.ErrnoException): ServingError {
  return error.code === 'ECONNREFUSED'
    ? new ServingError('SERVER_UNREACHABLE', `the model server takes no connection: ${error.message}`, { cause: error })
    : new ServingError('SERVER_UNAVAILABLE', `the model server gave no answer: ${error.message}`, { cause: error })
}
