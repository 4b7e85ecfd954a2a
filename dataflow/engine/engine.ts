/** One engine, put together from its configuration. */
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import { everyMs } from '../../kit/backoff.ts'
import type { Started } from '../../kit/lifecycle.ts'
import type { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { startConsumer } from '../consumer/consumer.ts'
import { startSharedReading } from '../consumer/shared-reading.ts'
import { createControl } from '../control/control.ts'
import { createHeldUnits, createUnitsFile } from '../control/held-units.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { startLagReports } from '../control/lag-reports.ts'
import { needTopics } from '../journal/options.ts'
import { parseTopicName } from '../journal/topics.ts'
import { gatherQuestions } from '../kafka/gathered-reader.ts'
import { waitForModels } from '../model-client/patient.ts'
import { createSession, startHttp, startParts, startPlans } from '../process/parts.ts'
import { createDirectRunner } from '../runner/direct-runner.ts'
import { createTopicsRunner } from '../runner/topics-runner.ts'
import { toPipelineFailure } from '../runner/pipeline-request.ts'
import { createAsynchronous } from './asynchronous.ts'
import type { EngineConfig } from './config.ts'
import { createEndedKeys } from './ended-keys.ts'
import { writeError } from './error-record.ts'
import { createExternalInputs, externalGroup } from './external-inputs.ts'
import { createGatewaysAlive } from './gateways-alive.ts'
import type { Identity } from './identity.ts'
import { createEngineMetrics } from './metrics.ts'
import { createOrphans } from './orphans.ts'
import { createTopicsUnits } from './topics-units.ts'
import { createTurns } from '../../kit/turns.ts'
import { createUnits } from './units.ts'
import { lookAtUnread } from './unread.ts'

const COMMIT_EVERY_MS = 300
const TICK_MS = 1_000
/** How long requests of a pipeline that goes elsewhere may take to finish: less than the scheduler waits for them. */
const HAND_OVER_MS = 25_000
/** Side branches go on after a request has ended. */
const RUNNING_PER_TURN = 4
/** Of requests over topics, that are remembered. */
const ENDED_KEYS = 100_000

/** Starts everything, in this order; `started` collects what is to be stopped, in reverse. */
export async function startEngine(
  config: EngineConfig,
  log: Logger,
  started: Started,
): Promise<{ readonly httpPort: number }> {
  const { kafka, space } = needTopics(config, config.name, 'an engine')
  const group = `${space.prefix}.${space.namespace}.engine`
  const maxRequests = RUNNING_PER_TURN * config.maxRequests
  const limits = { concurrent: config.maxConcurrentPerModel, queued: maxRequests }
  const parts = startParts(config, limits, log, started)
  const { journal, registry, stopping, models, nowMs } = parts
  const reader = gatherQuestions(kafka.reader())
  started('reader', { stop: () => reader.close() })
  const runner = createDirectRunner({ models: waitForModels(models, nowMs), journal, maxRequests, log, nowMs })
  const { plans, file } = await startPlans(config.plansFile, parts)

  const lag = (): ReadonlyMap<string, number> => {
    const lags = [...consumer.lag()].map(([topic, records]) => [parseTopicName(space, topic), records] as const)
    const fromOthers = shared.lag()
    return new Map(
      lags.flatMap(([end, records]) =>
        end?.kind === 'pipeline' ? [[end.name, records + (fromOthers.get(externalGroup(space, end.name)) ?? 0)]] : [],
      ),
    )
  }
  const overTopics = createTopicsRunner({ journal, maxBytes: config.maxTopicsBytes, log, nowMs })
  const running = (): number => runner.running() + overTopics.running()
  const { count, countExternal } = createEngineMetrics(registry, {
    running,
    reading: () => units.names().length,
    lag,
    openExternal: () => external.open(),
    openExternalBytes: () => external.openBytes(),
    connected: () => session.connected,
  })
  const turns = createTurns(config.maxRequests)
  const run = createAsynchronous({ runner, journal, turns, log, count })
  const alive = createGatewaysAlive(Date.now, () => session.connected)
  const tellError = (held: HeldPlan, identity: Identity, error: ServingError): Promise<void> =>
    writeError(journal, held, identity, toPipelineFailure(held.pipeline, error))
  const orphans = createOrphans({
    reader,
    space,
    partitions: journal.partitions,
    alive,
    run,
    writeError: tellError,
    plan: plans.serving,
    onLost: (pipeline) => {
      count(pipeline, 'lost')
    },
    signal: stopping.signal,
    log,
  })
  const reading = {
    maxInFlight: config.maxInFlightPerPartition,
    maxInFlightBytes: config.maxHeldBytes,
    maxHeldBytes: config.maxHeldBytes,
    commitEveryMs: COMMIT_EVERY_MS,
  }
  const shared = startSharedReading(reading, { kafka, registry, log, nowMs })
  const topics = createTopicsUnits({
    space,
    reader,
    shared,
    group,
    runner: overTopics,
    journal,
    turns: createTurns(config.maxTopicsRequests),
    ended: createEndedKeys(ENDED_KEYS),
    plan: plans.serving,
    count,
    signal: stopping.signal,
    log,
    nowMs,
    wallMs: Date.now,
  })
  const external = createExternalInputs({
    space,
    journal,
    shared,
    reader,
    plan: plans.serving,
    limits: { maxKeys: config.maxExternalRequests, maxBytes: config.maxExternalBytes },
    writeError: tellError,
    count: countExternal,
    nowMs: Date.now,
    log,
  })
  const units = createUnits({
    space,
    journal,
    consumer: () => consumer,
    plan: plans.serving,
    lookAtUnread: (held, isHandedOver) =>
      lookAtUnread(reader, space, held, group, isHandedOver ? 0 : config.maxInFlightPerPartition),
    run,
    topics,
    orphans,
    external,
    signal: stopping.signal,
    log,
  })
  const consumer = startConsumer(
    { from: { kind: 'committed', group }, ...reading },
    { kafka, onRecord: units.onRecord, registry, log, nowMs },
  )
  const send = (message: GatewayMessage): void => {
    session.send(message)
  }
  const unitsFile = createUnitsFile(`${config.plansFile}.units`, log)
  started('units file', { stop: unitsFile.settled })
  const heldUnits = createHeldUnits({
    kind: 'PIPELINE',
    file: unitsFile,
    onAssign: units.begin,
    onRevoke: (pipeline) => units.end(pipeline, HAND_OVER_MS),
    report: send,
    signal: stopping.signal,
    log,
  })

  const control = createControl({
    plans,
    file,
    journal,
    runner: {
      untilIdle: async (plan) => {
        await Promise.all([runner.untilIdle(plan), overTopics.untilIdle(plan)])
      },
    },
    prepare: external.prepare,
    report: send,
    signal: stopping.signal,
    log,
  })
  const lagReports = startLagReports({
    kind: 'PIPELINE',
    lag,
    send,
    signal: stopping.signal,
  })
  const session = createSession(
    parts,
    () => {
      alive.forget() // until this scheduler says who lives
      heldUnits.onStream()
      lagReports.onStream()
      return { ...plans.introduce(), role: 'ENGINE', hasJournal: true, heldUnits: [...heldUnits.held()] }
    },
    (message) => {
      control(message)
      const changed = message.serve ?? message.load
      if (changed) units.refresh(changed.pipeline)
      heldUnits.onMessage(message)
      if (!message.gatewaysAlive) return
      alive.told(message.gatewaysAlive.gateways.map(({ name, epoch }) => `${name}/${epoch}`))
      orphans.look()
    },
  )
  const httpPort = await startHttp(parts, session, () => ({
    reading: units.names().length,
    running: running(),
  }))
  await heldUnits.begin() // what was read last, until a scheduler says otherwise
  void everyMs(TICK_MS, stopping.signal, alive.tick)
  session.start() // gives the pipelines to hold and to read
  started('session', {
    stop: async () => {
      await session.drain(config.drainTimeoutMs) // others go on with what is given back
      await units.stop(config.drainTimeoutMs)
      await Promise.all([consumer.stop(config.drainTimeoutMs), shared.stop(0)])
      stopping.abort()
      await session.stop()
    },
  })
  return { httpPort }
}
