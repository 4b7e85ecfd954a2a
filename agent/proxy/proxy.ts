/**
 * The agent's reverse proxy: the data path of models and servers that ask for `dataPath: agent`. It renames for servers that
 * read the versioned name from the path or message, counts, times, and knows what is in flight; it holds no body back.
 */
import { ServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { startGrpcProxy } from './grpc-proxy.ts'
import { startRestProxy } from './rest-proxy.ts'
import type { Traffic } from './traffic.ts'

export interface ProxyOptions {
  /** Where to listen; port 0 takes a free one. */
  readonly host: string
  readonly restPort: number
  readonly grpcPort: number
  readonly server: { readonly host: string; readonly restPort: number; readonly grpcPort: number }
  /** How the server learns the internal name. */
  readonly nameSource: 'HEADER' | 'MESSAGE'
  /** To the server for REST (further requests wait), and from Envoys for gRPC. */
  readonly maxConnections: number
  /** In flight and waiting, both protocols together; what comes beyond is refused. */
  readonly maxRequests: number
  /** How long what is in flight may take when the agent stops. */
  readonly drainDeadlineMs: number
  readonly traffic: Traffic
  readonly log: Logger
}

export interface Proxy extends Running {
  readonly restPort: number
  readonly grpcPort: number
}

/** What both protocols are given. */
export interface ProxyDeps extends Pick<
  ProxyOptions,
  'host' | 'server' | 'nameSource' | 'maxConnections' | 'maxRequests' | 'traffic' | 'log'
> {
  /** Under this name a call counts that names no model in a header or path. */
  readonly unnamed: string
  readonly overloaded: () => ServingError
}

export interface ProxyListener {
  readonly port: number
  /** Takes nothing new; resolves when what was in flight has ended. */
  readonly drain: () => Promise<void>
  /** Ends what is in flight. */
  readonly destroy: () => void
}

/** @throws ServingError PORT_IN_USE, CONFIG_INVALID */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { maxRequests, drainDeadlineMs, log } = options
  const deps: ProxyDeps = {
    ...options,
    unnamed: '_unnamed',
    overloaded: () =>
      new ServingError(
        'SERVER_OVERLOADED',
        `${String(maxRequests)} requests are in the proxy of this replica already: send fewer at once, or raise --proxy-max-requests of its agent`,
      ),
  }
  const rest = await startRestProxy(deps, options.restPort)
  const listeners = [rest]
  const stop = async (): Promise<void> => {
    const force = setTimeout(() => {
      log.warn({ drainDeadlineMs }, 'proxy drain deadline passed; requests in flight are ended')
      for (const listener of listeners) listener.destroy()
    }, drainDeadlineMs)
    await Promise.all(listeners.map((listener) => listener.drain()))
    clearTimeout(force)
  }
  try {
    const grpc = await startGrpcProxy(deps, options.grpcPort)
    listeners.push(grpc)
    let stopped: Promise<void> | undefined
    return { restPort: rest.port, grpcPort: grpc.port, stop: () => (stopped ??= stop()) }
  } catch (error) {
    await stop()
    throw error
  }
}
