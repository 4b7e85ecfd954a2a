/** One pipeline gateway, put together from its configuration. */
import { randomUUID } from 'node:crypto'
import type { Server as HttpServer } from 'node:http'
import { Registry } from 'prom-client'
import type { Introduction } from '../../api/generated/millrace/dataflow/Introduction.ts'
import { loadCallerSecurity, loadCallerTls, toServerCredentials } from '../../kit/grpc-security.ts'
import { serveGrpc } from '../../kit/grpc.ts'
import { listen, serveHttp } from '../../kit/http.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { processRoutes } from '../../kit/process-routes.ts'
import { loadDataPathSecurity, loadSecurity } from '../../kit/security.ts'
import { openJournal } from '../journal/options.ts'
import { createModelClient } from '../model-client/model-client.ts'
import { compile } from '../plan/compile.ts'
import { createDirectRunner } from '../runner/direct-runner.ts'
import type { PipelineGatewayConfig } from './config.ts'
import { createControl } from '../control/control.ts'
import { createHeldPlans } from '../control/held-plans.ts'
import { type JournalReports, startJournalReports } from '../control/journal-reports.ts'
import { createPlansFile } from '../control/plans-file.ts'
import { createControlSession } from '../control/session.ts'
import { createGateway } from './gateway.ts'
import { createGrpcServer } from './grpc/server.ts'
import { createGatewayMetrics } from './metrics.ts'
import { createRestServer } from './rest/server.ts'

export interface GatewayPorts {
  readonly restPort: number
  readonly grpcPort: number
  readonly httpPort: number
}

/** Starts everything, in this order; `started` collects what is to be stopped, in reverse. */
export async function startPipelineGateway(
  config: PipelineGatewayConfig,
  log: Logger,
  started: (name: string, running: Running) => void,
): Promise<GatewayPorts> {
  const { tls } = loadDataPathSecurity(config, config.host, 'a pipeline gateway', log)
  const security = loadSecurity(config, config.host, log)
  const callerTls = loadCallerTls(config, log)
  const nowMs = (): number => performance.now()
  const stopping = new AbortController()
  const epoch = randomUUID()
  const isAccepting = (): boolean => !stopping.signal.aborted

  const registry = new Registry()
  const journal = openJournal(config, { clientId: config.name, registry, log })
  started('journal', { stop: () => journal.close() }) // after everything that records
  const models = createModelClient({
    ingress: config.ingress,
    tls: () => callerTls?.current(),
    connections: config.ingressConnections,
    limits: { concurrent: config.maxConcurrentPerModel, queued: config.maxQueuedPerModel },
  })
  started('model client', { stop: async () => Promise.resolve(models.close()) })
  const runner = createDirectRunner({
    models,
    journal,
    maxRequests: config.maxRequests,
    mark: `${config.name}/${epoch}`,
    log,
    nowMs,
  })
  const file = createPlansFile(config.plansFile, log)
  const plans = createHeldPlans(compile, await file.load())
  started('plans file', { stop: file.settled })

  const count = createGatewayMetrics(registry, {
    running: runner.running,
    held: () => plans.held().length,
    connected: () => session.connected,
  })
  const gateway = createGateway({ plans, runner, models, count, isAccepting, log, nowMs })
  const rest = createRestServer({ gateway, limits: config, isAccepting, tls, log })
  const restPort = await listen(rest, config.host, config.restPort)
  started('rest', { stop: () => closeRest(rest) })
  const grpc = await serveGrpc(
    createGrpcServer({ gateway, maxRequestBytes: config.maxRequestBytes, isAccepting, log }),
    config.host,
    config.grpcPort,
    undefined,
    toServerCredentials({ tls }),
  )
  started('grpc', grpc)

  const journalReports = startJournalReports({
    journal,
    send: (message) => {
      session.send(message)
    },
    signal: stopping.signal,
  })
  const session = createControlSession({
    scheduler: config.scheduler,
    security: loadCallerSecurity(config, log),
    introduction: () => ({
      ...introduceJournal(journalReports),
      name: config.name,
      role: 'PIPELINE_GATEWAY',
      address: config.address ?? config.host,
      restPort,
      grpcPort: grpc.port,
      tls: tls !== undefined,
      hasJournal: journal.status().kind !== 'none',
      epoch,
      held: plans.completed().map(({ pipeline, version, uid }) => ({ pipeline, version, uid })),
      storeId: plans.snapshot().storeId,
    }),
    onMessage: createControl({
      plans,
      file,
      journal,
      runner,
      report: (message) => {
        session.send(message)
      },
      signal: stopping.signal,
      log,
    }),
    log,
    nowMs,
  })
  const routes = processRoutes(registry, () => ({
    ready: isAccepting(),
    connected: session.connected,
    pipelines: plans.held().length,
    running: runner.running(),
    journal: journal.status(),
  }))
  const http = await serveHttp({ host: config.host, port: config.httpPort, routes, log, security })
  started('http', http)
  session.start() // gives the pipelines to hold; those of the file serve until then
  started('session', {
    stop: async () => {
      await session.drain(config.drainTimeoutMs) // Envoys stop sending before anything is refused
      stopping.abort()
      await Promise.race([runner.untilIdle(), lapse(config.drainTimeoutMs)])
      await session.stop()
    },
  })
  return { restPort, grpcPort: grpc.port, httpPort: http.port }
}

const introduceJournal = (reports: JournalReports): Pick<Introduction, 'journal'> => {
  const journal = reports.introduce()
  return journal === undefined ? {} : { journal }
}

const lapse = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })

/** Everything that was to be answered has been, or is late. */
function closeRest(server: HttpServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve()
    })
    server.closeAllConnections()
  })
}
