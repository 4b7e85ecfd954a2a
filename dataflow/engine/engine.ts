/** One engine, put together from its configuration. */
import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import { everyMs } from '../../kit/backoff.ts'
import { ServingError } from '../../kit/errors.ts'
import { loadCallerSecurity, loadCallerTls } from '../../kit/grpc-security.ts'
import { serveHttp } from '../../kit/http.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { processRoutes } from '../../kit/process-routes.ts'
import { loadSecurity } from '../../kit/security.ts'
import { startConsumer } from '../consumer/consumer.ts'
import { createControl } from '../control/control.ts'
import { createHeldPlans } from '../control/held-plans.ts'
import { createHeldUnits, createUnitsFile } from '../control/held-units.ts'
import { startLagReports } from '../control/lag-reports.ts'
import { createPlansFile } from '../control/plans-file.ts'
import { createControlSession } from '../control/session.ts'
import { openJournal } from '../journal/options.ts'
import { checkedSpace, parseTopicName } from '../journal/topics.ts'
import { connectKafka } from '../kafka/connect.ts'
import { isKafkaGiven, loadKafkaConnection } from '../kafka/connection.ts'
import { createModelClient } from '../model-client/model-client.ts'
import { compile } from '../plan/compile.ts'
import { createDirectRunner } from '../runner/direct-runner.ts'
import { toPipelineFailure } from '../runner/pipeline-request.ts'
import { createAsynchronous } from './asynchronous.ts'
import type { EngineConfig } from './config.ts'
import { writeError } from './error-record.ts'
import { createGatewaysAlive } from './gateways-alive.ts'
import { createEngineMetrics } from './metrics.ts'
import { createOrphans } from './orphans.ts'
import { createTurns } from './turns.ts'
import { createUnits } from './units.ts'
import { lookAtUnread } from './unread.ts'

const COMMIT_EVERY_MS = 300
const TICK_MS = 1_000
/** Side branches go on after a request has ended. */
const RUNNING_PER_TURN = 4

/** Starts everything, in this order; `started` collects what is to be stopped, in reverse. */
export async function startEngine(
  config: EngineConfig,
  log: Logger,
  started: (name: string, running: Running) => void,
): Promise<{ readonly httpPort: number }> {
  const given = { bootstrapServers: config.kafkaBootstrapServers, configFile: config.kafkaConfig }
  if (!isKafkaGiven(given))
    throw new ServingError(
      'CONFIG_INVALID',
      'an engine reads from Kafka: give --kafka-bootstrap-servers or --kafka-config',
    )
  const kafka = connectKafka(loadKafkaConnection(given), config.name)
  const space = checkedSpace({ prefix: config.topicPrefix, namespace: config.namespace })
  const group = `${space.prefix}.${space.namespace}.engine`
  const security = loadSecurity(config, config.host, log)
  const callerTls = loadCallerTls(config, log)
  const nowMs = (): number => performance.now()
  const stopping = new AbortController()

  const registry = new Registry()
  const journal = openJournal(config, { clientId: config.name, registry, log })
  started('journal', { stop: () => journal.close() }) // after everything that records
  const reader = kafka.reader()
  started('reader', { stop: () => reader.close() })
  const models = createModelClient({
    ingress: config.ingress,
    tls: () => callerTls?.current(),
    connections: config.ingressConnections,
    limits: { concurrent: config.maxConcurrentPerModel, queued: RUNNING_PER_TURN * config.maxRequests },
  })
  started('model client', { stop: async () => Promise.resolve(models.close()) })
  const maxRequests = RUNNING_PER_TURN * config.maxRequests
  const runner = createDirectRunner({ models, journal, maxRequests, log, nowMs })
  const plansFile = createPlansFile(config.plansFile, log)
  const plans = createHeldPlans(compile, await plansFile.load())
  started('plans file', { stop: plansFile.settled })

  const lag = (): ReadonlyMap<string, number> => {
    const lags = [...consumer.lag()].map(([topic, records]) => [parseTopicName(space, topic), records] as const)
    return new Map(lags.flatMap(([end, records]) => (end?.kind === 'pipeline' ? [[end.name, records]] : [])))
  }
  const count = createEngineMetrics(registry, {
    running: runner.running,
    reading: () => units.names().length,
    lag,
    connected: () => session.connected,
  })
  const turns = createTurns(config.maxRequests)
  const run = createAsynchronous({ runner, journal, turns, log, count, signal: stopping.signal })
  const alive = createGatewaysAlive(Date.now, () => session.connected)
  const orphans = createOrphans({
    reader,
    space,
    partitions: journal.partitions,
    alive,
    run,
    writeError: (held, identity, error) => writeError(journal, held, identity, toPipelineFailure(held.pipeline, error)),
    plan: plans.serving,
    onLost: (pipeline) => {
      count(pipeline, 'lost')
    },
    signal: stopping.signal,
    log,
  })
  const units = createUnits({
    space,
    journal,
    consumer: () => consumer,
    plan: plans.serving,
    lookAtUnread: (held) => lookAtUnread(reader, space, held, group),
    run,
    orphans,
    log,
  })
  const consumer = startConsumer(
    {
      from: { kind: 'committed', group },
      maxInFlight: config.maxInFlightPerPartition,
      maxInFlightBytes: config.maxHeldBytes,
      maxHeldBytes: config.maxHeldBytes,
      commitEveryMs: COMMIT_EVERY_MS,
    },
    { kafka, onRecord: units.onRecord, registry, log, nowMs },
  )
  const unitsFile = createUnitsFile(`${config.plansFile}.units`, log)
  started('units file', { stop: unitsFile.settled })
  const heldUnits = createHeldUnits({
    kind: 'PIPELINE',
    file: unitsFile,
    onAssign: units.begin,
    onRevoke: (pipeline) => units.end(pipeline, config.drainTimeoutMs),
    report: (message) => {
      session.send(message)
    },
    log,
  })

  const epoch = randomUUID()
  const control = createControl({
    plans,
    file: plansFile,
    journal,
    runner,
    report: (message) => {
      session.send(message)
    },
    signal: stopping.signal,
    log,
  })
  const lagReports = startLagReports({
    kind: 'PIPELINE',
    lag,
    send: (message) => {
      session.send(message)
    },
    signal: stopping.signal,
  })
  const session = createControlSession({
    scheduler: config.scheduler,
    security: loadCallerSecurity(config, log),
    introduction: () => {
      alive.forget() // until this scheduler says who lives
      heldUnits.onStream()
      lagReports.onStream()
      return {
        name: config.name,
        role: 'ENGINE',
        address: config.host,
        hasJournal: true,
        epoch,
        held: plans.completed().map(({ pipeline, version, uid }) => ({ pipeline, version, uid })),
        heldUnits: [...heldUnits.held()],
        storeId: plans.snapshot().storeId,
      }
    },
    onMessage: (message) => {
      control(message)
      heldUnits.onMessage(message)
      if (!message.gatewaysAlive) return
      alive.told(message.gatewaysAlive.gateways.map(({ name, epoch: of }) => `${name}/${of}`))
      orphans.look()
    },
    log,
    nowMs,
  })
  const routes = processRoutes(registry, () => ({
    ready: !stopping.signal.aborted,
    connected: session.connected,
    reading: units.names().length,
    running: runner.running(),
    journal: journal.status(),
  }))
  const http = await serveHttp({ host: config.host, port: config.httpPort, routes, log, security })
  started('http', http)
  await heldUnits.begin() // what was read last, until a scheduler says otherwise
  void everyMs(TICK_MS, stopping.signal, alive.tick)
  session.start() // gives the pipelines to hold and to read
  started('session', {
    stop: async () => {
      await session.drain(config.drainTimeoutMs) // others go on with what is given back
      await consumer.stop(config.drainTimeoutMs)
      stopping.abort()
      await session.stop()
    },
  })
  return { httpPort: http.port }
}
