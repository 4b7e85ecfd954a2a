/** One model gateway, put together from its configuration. */
import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import { ServingError } from '../../kit/errors.ts'
import { loadCallerSecurity, loadCallerTls } from '../../kit/grpc-security.ts'
import { serveHttp } from '../../kit/http.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { processRoutes } from '../../kit/process-routes.ts'
import { loadSecurity } from '../../kit/security.ts'
import { startConsumer } from '../consumer/consumer.ts'
import { createHeldUnits, createUnitsFile } from '../control/held-units.ts'
import { startLagReports } from '../control/lag-reports.ts'
import { openJournal } from '../journal/options.ts'
import { checkedSpace } from '../journal/topics.ts'
import { connectKafka } from '../kafka/connect.ts'
import { isKafkaGiven, loadKafkaConnection } from '../kafka/connection.ts'
import { createModelClient } from '../model-client/model-client.ts'
import { createControlSession } from '../control/session.ts'
import type { ModelGatewayConfig } from './config.ts'
import { createModelGateway } from './gateway.ts'

const COMMIT_EVERY_MS = 300

/** Starts everything, in this order; `started` collects what is to be stopped, in reverse. */
export async function startModelGateway(
  config: ModelGatewayConfig,
  log: Logger,
  started: (name: string, running: Running) => void,
): Promise<{ readonly httpPort: number }> {
  const given = { bootstrapServers: config.kafkaBootstrapServers, configFile: config.kafkaConfig }
  if (!isKafkaGiven(given))
    throw new ServingError(
      'CONFIG_INVALID',
      'kafkaBootstrapServers and kafkaConfig are empty: a model gateway needs Kafka',
    )
  const kafka = connectKafka(loadKafkaConnection(given), config.name)
  const security = loadSecurity(config, config.host, log)
  const callerTls = loadCallerTls(config, log)
  const space = checkedSpace({ prefix: config.topicPrefix, namespace: config.namespace })
  const nowMs = (): number => performance.now()
  const stopping = new AbortController()
  const registry = new Registry()

  const journal = openJournal(config, { clientId: config.name, registry, log })
  started('journal', { stop: () => journal.close() }) // after everything that records
  const models = createModelClient({
    ingress: config.ingress,
    tls: () => callerTls?.current(),
    connections: config.ingressConnections,
    limits: { concurrent: config.maxConcurrentPerModel, queued: 0 },
  })
  started('model client', { stop: async () => Promise.resolve(models.close()) })
  const gateway = createModelGateway(
    {
      space,
      maxConcurrentPerModel: config.maxConcurrentPerModel,
      requestTimeoutMs: config.requestTimeoutMs,
      maxWaitMs: config.maxWaitMs,
      drainTimeoutMs: config.drainTimeoutMs,
      consumer: {
        from: { kind: 'committed', group: `${space.prefix}.${space.namespace}.model-gateway` },
        maxInFlight: config.maxRecordsPerPartition,
        maxInFlightBytes: config.maxBytesPerPartition,
        maxHeldBytes: config.maxHeldBytes,
        commitEveryMs: COMMIT_EVERY_MS,
      },
    },
    {
      consume: (options, onRecord) => startConsumer(options, { kafka, onRecord, registry, log, nowMs }),
      models,
      journal,
      registry,
      isConnected: () => session.connected,
      log,
      nowMs,
    },
  )
  started('gateway', { stop: gateway.stop })
  const file = createUnitsFile(config.unitsFile, log)
  const units = createHeldUnits({
    kind: 'MODEL',
    file,
    onAssign: gateway.assign,
    onRevoke: gateway.revoke,
    report: (message) => {
      session.send(message)
    },
    log,
  })
  started('units file', { stop: file.settled })

  const epoch = randomUUID()
  const lagReports = startLagReports({
    kind: 'MODEL',
    lag: gateway.lag,
    send: (message) => {
      session.send(message)
    },
    signal: stopping.signal,
  })
  const session = createControlSession({
    scheduler: config.scheduler,
    security: loadCallerSecurity(config, log),
    introduction: () => {
      units.onStream()
      lagReports.onStream()
      return {
        name: config.name,
        role: 'MODEL_GATEWAY',
        address: config.host,
        hasJournal: true,
        epoch,
        heldUnits: [...units.held()],
        storeId: units.storeId(),
      }
    },
    onMessage: units.onMessage,
    log,
    nowMs,
  })
  const routes = processRoutes(registry, () => ({
    ready: !stopping.signal.aborted,
    connected: session.connected,
    reading: units.held().length,
    journal: journal.status(),
  }))
  const http = await serveHttp({ host: config.host, port: config.httpPort, routes, log, security })
  started('http', http)
  await units.begin() // what the last run held is read while no scheduler answers
  session.start()
  started('session', {
    stop: async () => {
      await session.drain(config.drainTimeoutMs) // somebody else takes the models over
      stopping.abort()
      await session.stop()
    },
  })
  return { httpPort: http.port }
}
