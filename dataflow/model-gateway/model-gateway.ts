/** One model gateway, put together from its configuration. */
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { Started } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { startConsumer } from '../consumer/consumer.ts'
import { createHeldUnits, createUnitsFile } from '../control/held-units.ts'
import { startLagReports } from '../control/lag-reports.ts'
import { needTopics } from '../journal/options.ts'
import { gatherQuestions } from '../kafka/gathered-reader.ts'
import { createSession, startHttp, startParts } from '../process/parts.ts'
import type { ModelGatewayConfig } from './config.ts'
import { lookAtAnswered } from './answered.ts'
import { createModelGateway } from './gateway.ts'

const COMMIT_EVERY_MS = 300

/** Starts everything, in this order; `started` collects what is to be stopped, in reverse. */
export async function startModelGateway(
  config: ModelGatewayConfig,
  log: Logger,
  started: Started,
): Promise<{ readonly httpPort: number }> {
  const { kafka, space } = needTopics(config, config.name, 'a model gateway')
  const limits = { concurrent: config.maxConcurrentPerModel, queued: 0 }
  const parts = startParts(config, limits, log, started)
  const { journal, registry, stopping, models, nowMs } = parts
  const reader = gatherQuestions(kafka.reader())
  started('reader', { stop: () => reader.close() })
  const group = `${space.prefix}.${space.namespace}.model-gateway`
  const gateway = createModelGateway(
    {
      space,
      maxConcurrentPerModel: config.maxConcurrentPerModel,
      requestTimeoutMs: config.requestTimeoutMs,
      maxWaitMs: config.maxWaitMs,
      drainTimeoutMs: config.drainTimeoutMs,
      consumer: {
        from: { kind: 'committed', group },
        maxInFlight: config.maxRecordsPerPartition,
        maxInFlightBytes: config.maxBytesPerPartition,
        maxHeldBytes: config.maxHeldBytes,
        commitEveryMs: COMMIT_EVERY_MS,
      },
    },
    {
      lookAtAnswered: (model, isHandedOver) =>
        lookAtAnswered(reader, space, model, group, isHandedOver ? 0 : config.maxRecordsPerPartition),
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
  const send = (message: GatewayMessage): void => {
    session.send(message)
  }
  const file = createUnitsFile(config.unitsFile, log)
  const units = createHeldUnits({
    kind: 'MODEL',
    file,
    onAssign: gateway.assign,
    onRevoke: gateway.revoke,
    report: send,
    signal: stopping.signal,
    log,
  })
  started('units file', { stop: file.settled })

  const lagReports = startLagReports({
    kind: 'MODEL',
    lag: gateway.lag,
    send,
    signal: stopping.signal,
  })
  const session = createSession(
    parts,
    () => {
      units.onStream()
      lagReports.onStream()
      return { role: 'MODEL_GATEWAY', hasJournal: true, heldUnits: [...units.held()], storeId: units.storeId() }
    },
    units.onMessage,
  )
  const httpPort = await startHttp(parts, session, () => ({ reading: units.held().length }))
  await units.begin() // what the last run held is read while no scheduler answers
  session.start()
  started('session', {
    stop: async () => {
      await session.drain(config.drainTimeoutMs) // somebody else takes the models over
      stopping.abort()
      await session.stop()
    },
  })
  return { httpPort }
}
