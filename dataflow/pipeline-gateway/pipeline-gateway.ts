/** One pipeline gateway, put together from its configuration. */
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { Introduction } from '../../api/generated/millrace/dataflow/Introduction.ts'
import { atMost } from '../../kit/deadline.ts'
import { toServerCredentials } from '../../kit/grpc-security.ts'
import { serveGrpc } from '../../kit/grpc.ts'
import { listen } from '../../kit/http.ts'
import type { Started } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { loadDataPathSecurity } from '../../kit/security.ts'
import { createControl } from '../control/control.ts'
import { type JournalReports, startJournalReports } from '../control/journal-reports.ts'
import { createSession, startHttp, startParts, startPlans } from '../process/parts.ts'
import type { PipelineGatewayConfig } from './config.ts'
import { createGateway } from './gateway.ts'
import { createGrpcServer } from './grpc/server.ts'
import { createGatewayMetrics } from './metrics.ts'
import { startRunners } from './runners.ts'
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
  started: Started,
): Promise<GatewayPorts> {
  const { tls } = loadDataPathSecurity(config, config.host, 'a pipeline gateway', log)
  const limits = { concurrent: config.maxConcurrentPerModel, queued: config.maxQueuedPerModel }
  const parts = startParts(config, limits, log, started)
  const { journal, registry, stopping, models, nowMs } = parts
  const isAccepting = (): boolean => !stopping.signal.aborted

  const { runner, answers } = startRunners(config, parts)
  const { plans, file } = await startPlans(config.plansFile, parts)
  answers.resume(plans.held().map(({ plan }) => plan))

  const count = createGatewayMetrics(registry, {
    running: runner.running,
    held: () => plans.held().length,
    connected: () => session.connected,
  })
  const gateway = createGateway({ plans, runner, models, count, isAccepting, log, nowMs })
  const rest = createRestServer({ gateway, limits: config, isAccepting, tls, log })
  const restPort = await listen(rest.server, config.host, config.restPort)
  started('rest', rest) // everything that was to be answered has been by its stop, or is late
  const grpc = await serveGrpc(
    createGrpcServer({ gateway, maxRequestBytes: config.maxRequestBytes, isAccepting, log }),
    config.host,
    config.grpcPort,
    undefined,
    toServerCredentials({ tls }),
  )
  started('grpc', grpc)

  const send = (message: GatewayMessage): void => {
    session.send(message)
  }
  const journalReports = startJournalReports({ journal, send, signal: stopping.signal })
  const session = createSession(
    parts,
    () => ({
      ...introduceJournal(journalReports),
      ...plans.introduce(),
      role: 'PIPELINE_GATEWAY',
      address: config.address ?? config.host,
      restPort,
      grpcPort: grpc.port,
      tls: tls !== undefined,
      hasJournal: journal.status().kind !== 'none',
    }),
    createControl({ plans, file, journal, runner, listening: answers, report: send, signal: stopping.signal, log }),
  )
  const httpPort = await startHttp(parts, session, () => ({
    pipelines: plans.held().length,
    running: runner.running(),
  }))
  session.start() // gives the pipelines to hold; those of the file serve until then
  started('session', {
    stop: async () => {
      await session.drain(config.drainTimeoutMs) // Envoys stop sending before anything is refused
      stopping.abort()
      await atMost(config.drainTimeoutMs, runner.untilIdle())
      await session.stop()
    },
  })
  return { restPort, grpcPort: grpc.port, httpPort }
}

const introduceJournal = (reports: JournalReports): Pick<Introduction, 'journal'> => {
  const journal = reports.introduce()
  return journal === undefined ? {} : { journal }
}
