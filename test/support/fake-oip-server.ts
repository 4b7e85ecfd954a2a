/** A model server with nothing but the repository extension: loads by name, fails, hangs, dies and comes back on command. */
import { Server, type sendUnaryData, status } from '@grpc/grpc-js'
import { GRPCInferenceService } from '../../api/grpc.ts'
import { ServingError } from '../../kit/errors.ts'
import { serveGrpc, toGrpcStatus } from '../../kit/grpc.ts'
import { createWaiters } from './waiters.ts'

export interface FakeOipServer {
  readonly port: number
  /** Names that are loaded. */
  readonly models: Set<string>
  /** Names that are refused, with the server's own message. */
  readonly refused: Map<string, string>
  /** Loads and unloads in the order they ended. */
  readonly log: string[]
  /** How many loads run at the same time, at most, since the start. */
  readonly mostParallelLoads: number
  /** How many health checks have arrived, answered or not. */
  readonly checks: number
  /** Resolves once the predicate holds; it is asked after each load and unload, and at each health check. */
  until(what: string, predicate: () => boolean): Promise<void>
  /** A load has arrived and waits. */
  loadBegun(): Promise<void>
  /** Loads wait from now on; the returned function lets them go. */
  holdLoads(): () => void
  /** Calls never answer from now on, as on a stopped process; the returned function ends that. */
  freeze(): () => void
  /** As `kill -9`: connections break, models are gone. */
  kill(): Promise<void>
  /** Listens again on the same port, with nothing loaded. */
  restart(): Promise<void>
}

type Reply<T> = sendUnaryData<T>

function createGate(): { readonly passed: () => Promise<void>; readonly close: () => () => void } {
  let open: Promise<void> = Promise.resolve()
  return {
    passed: () => open,
    close: () => {
      let release: () => void = () => undefined
      open = new Promise((resolve) => {
        release = resolve
      })
      return release
    },
  }
}

export async function startFakeOipServer(): Promise<FakeOipServer> {
  const models = new Set<string>()
  const refused = new Map<string, string>()
  const log: string[] = []
  const loads = createGate()
  const calls = createGate()
  const waiters = createWaiters()
  let parallel = 0
  let lives = 0
  let mostParallelLoads = 0
  let checks = 0

  const listen = async (port: number): Promise<{ server: Server; port: number }> => {
    const server = new Server()
    server.addService(GRPCInferenceService.service, {
      ServerLive: (_call: unknown, reply: Reply<object>) => {
        checks += 1
        waiters.look()
        void calls.passed().then(() => {
          reply(null, { live: true })
        })
      },
      RepositoryIndex: (_call: unknown, reply: Reply<object>) => {
        void calls.passed().then(() => {
          reply(null, { models: [...models].map((name) => ({ name, version: '', state: 'READY', reason: '' })) })
        })
      },
      RepositoryModelLoad: (call: { request: { modelName: string } }, reply: Reply<object>) => {
        const name = call.request.modelName
        const life = lives
        parallel += 1
        mostParallelLoads = Math.max(mostParallelLoads, parallel)
        waiters.look()
        void loads.passed().then(() => {
          if (life !== lives) return // that process is gone
          parallel -= 1
          const message = refused.get(name)
          log.push(`${message === undefined ? 'load' : 'refuse'} ${name}`)
          if (message !== undefined) {
            reply(toGrpcStatus(new ServingError('LOAD_FAILED', message)))
            return
          }
          models.add(name)
          reply(null, {})
          waiters.look()
        })
      },
      RepositoryModelUnload: (call: { request: { modelName: string } }, reply: Reply<object>) => {
        const name = call.request.modelName
        const message = refused.get(`unload ${name}`)
        if (message !== undefined) {
          reply(toGrpcStatus(new ServingError('UNLOAD_FAILED', message)))
          return
        }
        log.push(`unload ${name}`)
        if (models.delete(name)) reply(null, {})
        else reply({ code: status.NOT_FOUND, details: `no model ${name}` })
      },
    })
    return { server, port: (await serveGrpc(server, '127.0.0.1', port)).port }
  }

  let { server, port } = await listen(0)
  return {
    get port() {
      return port
    },
    models,
    refused,
    log,
    get checks() {
      return checks
    },
    get mostParallelLoads() {
      return mostParallelLoads
    },
    until: (what, predicate) => waiters.until(what, predicate),
    loadBegun: () => waiters.until('a load', () => parallel > 0),
    holdLoads: loads.close,
    freeze: calls.close,
    async kill() {
      server.forceShutdown()
      models.clear()
      parallel = 0
      lives += 1
      await Promise.resolve()
    },
    async restart() {
      ;({ server, port } = await listen(port))
    },
  }
}
