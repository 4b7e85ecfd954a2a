/**
 * The agent's reverse proxy: the data path of models and servers that ask for `dataPath: agent`. It renames for servers that
 * read the versioned name from the path or message, counts, times, and knows what is in flight; it holds no body back.
 */
import { pause } from '../../kit/backoff.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { startGrpcProxy } from './grpc-proxy.ts'
import type { ProxyDeps } from './proxy-deps.ts'
import { startRestProxy } from './rest-proxy.ts'

/** By then Envoys were told to ask elsewhere; closing an idle connection at once would meet a request that is on its way. */
const RETIRE_MS = 300

export interface ProxyOptions extends ProxyDeps {
  /** 0 takes a free one. */
  readonly restPort: number
  readonly grpcPort: number
  /** How long what is in flight may take when the agent stops. */
  readonly drainDeadlineMs: number
}

export interface Proxy extends Running {
  readonly restPort: number
  readonly grpcPort: number
}

/** @throws ServingError PORT_IN_USE, CONFIG_INVALID */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { drainDeadlineMs, log } = options
  const rest = await startRestProxy(options, options.restPort)
  const listeners = [rest]
  const stop = async (): Promise<void> => {
    const force = setTimeout(() => {
      log.warn({ drainDeadlineMs }, 'proxy drain deadline passed; requests in flight are ended')
      for (const listener of listeners) listener.destroy()
    }, drainDeadlineMs)
    for (const listener of listeners) listener.retire()
    await pause(Math.min(RETIRE_MS, drainDeadlineMs / 2), new AbortController().signal)
    await Promise.all(listeners.map((listener) => listener.drain()))
    clearTimeout(force)
  }
  try {
    const grpc = await startGrpcProxy(options, options.grpcPort)
    listeners.push(grpc)
    let stopped: Promise<void> | undefined
    return { restPort: rest.port, grpcPort: grpc.port, stop: () => (stopped ??= stop()) }
  } catch (error) {
    await stop()
    throw error
  }
}
