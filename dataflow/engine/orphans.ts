/**
 * Synchronous requests whose gateway died: found on the topics, each ended by an error record, or run again where its pipeline
 * says so. A gateway ends each of its requests within the pipeline's time, so only the last ones need to be looked at.
 */
import { backoffMs, pause } from '../../kit/backoff.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { bytesOf } from '../consumer/held-partition.ts'
import { topicName, type TopicSpace } from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { readTopics } from '../recovery/read-topics.ts'
import { MAYBE_BEGUN, type RunRecord } from './asynchronous.ts'
import type { GatewaysAlive } from './gateways-alive.ts'
import { gatewayOf, type Identity, identify } from './identity.ts'
import { type Journaled, readJournaled } from './journaled.ts'
import type { Scope } from './scope.ts'
import { createTurns } from '../../kit/turns.ts'

export interface OrphansDeps {
  readonly reader: KafkaReader
  readonly space: TopicSpace
  readonly partitions: number
  readonly alive: GatewaysAlive
  readonly run: RunRecord
  /** Resolves when the error's records are acknowledged. */
  readonly writeError: (held: HeldPlan, identity: Identity, error: ServingError) => Promise<void>
  readonly plan: (pipeline: string) => HeldPlan | undefined
  readonly onLost: (pipeline: string) => void
  readonly signal: AbortSignal
  readonly log: Logger
}

export interface Orphans {
  /** A pipeline is read from here on; its requests from this time on may be orphans. They are ended within the scope. */
  readonly begin: (pipeline: string, fromMs: number, scope: Scope) => void
  readonly end: (pipeline: string) => void
  /** A gateway's request was read. */
  readonly saw: (pipeline: string, record: IncomingRecord) => void
  /** Other gateways live. */
  readonly look: () => void
}

/** Of clocks, and of what a gateway writes after its answer. */
const MARGIN_MS = 30_000
const LOOK_AGAIN_MS = 2_000
const AT_ONCE = 4
const RETRY = { minMs: 500, maxMs: 10_000 }
/** Of the records that one look takes; the rest comes with the next. */
const MAX_BYTES = 32 * 1024 * 1024

const lostBy = (gateway: string): ServingError =>
  new ServingError('GATEWAY_LOST', `pipeline gateway ${gateway} is gone: it did not finish this request`)

type Found = 'nothing' | 'notSure' | 'more'

export function createOrphans(deps: OrphansDeps): Orphans {
  const { reader, space, alive, signal, log } = deps
  /** From when on each pipeline is to be looked at; undefined: it need not be. */
  const due = new Map<string, number | undefined>()
  const scopes = new Map<string, Scope>()
  const looking = new Set<string>()
  const turns = createTurns(AT_ONCE)

  const ask = (pipeline: string, fromMs: number): void => {
    if (!due.has(pipeline)) return
    // Kafka knows no time before 0.
    due.set(pipeline, Math.min(due.get(pipeline) ?? Infinity, Math.max(fromMs, 0)))
    if (looking.has(pipeline)) return
    looking.add(pipeline)
    void work(pipeline).finally(() => {
      looking.delete(pipeline)
      const left = due.get(pipeline)
      if (left !== undefined && alive.isKnown() && !signal.aborted) ask(pipeline, left)
    })
  }

  const work = async (pipeline: string): Promise<void> => {
    for (let failures = 0; !signal.aborted;) {
      const fromMs = due.get(pipeline)
      const held = deps.plan(pipeline)
      if (held === undefined && due.has(pipeline)) due.set(pipeline, undefined)
      // Who lives is told later: then it is looked at.
      if (fromMs === undefined || held === undefined || !alive.isKnown()) return
      due.set(pipeline, undefined)
      const give = await turns.take()
      let found: Found = 'more'
      try {
        found = await lookAt(held, fromMs)
        failures = 0
      } catch (error) {
        log.warn({ pipeline, error: toServingError(error).message }, 'orphaned requests could not be looked for')
        await pause(backoffMs((failures += 1), RETRY), signal)
      } finally {
        give()
      }
      if (found === 'nothing' || !due.has(pipeline)) continue
      due.set(pipeline, Math.min(due.get(pipeline) ?? Infinity, fromMs))
      if (found === 'notSure') await pause(LOOK_AGAIN_MS, signal)
    }
  }

  const lookAt = async (held: HeldPlan, fromMs: number): Promise<Found> => {
    const topic = topicName(space, { kind: 'pipeline', name: held.pipeline, side: 'inputs' })
    const orphans: IncomingRecord[] = []
    let found: Found = 'nothing'
    let bytes = 0
    await readTopics(reader, [topic], fromMs, (record) => {
      const gateway = gatewayOf(record)
      const isAlive = gateway === undefined ? true : alive.isAlive(gateway)
      if (isAlive === true) return
      if (isAlive === undefined) {
        if (found === 'nothing') found = 'notSure'
      } else if (orphans.length > 0 && bytes + bytesOf(record) > MAX_BYTES) found = 'more'
      else {
        bytes += bytesOf(record)
        orphans.push(record)
      }
    })
    if (orphans.length > 0) await endAll(held, orphans, await readJournaled(reader, space, held, fromMs))
    return found
  }

  const endAll = async (held: HeldPlan, records: readonly IncomingRecord[], journaled: Journaled): Promise<void> => {
    const identified = records.map((record) => ({ record, identity: identify(record, held.pipeline, deps.partitions) }))
    const left = identified.filter(({ identity }) => !journaled.takeTerminal(identity.key))
    if (left.length === 0) return
    const scope = scopes.get(held.pipeline)
    if (scope === undefined) return // it goes elsewhere
    const isRerun = held.spec.dataflow?.recovery === 'rerun'
    log.warn({ pipeline: held.pipeline, requests: left.length, rerun: isRerun }, 'requests of a gateway that is gone')
    const ended = await Promise.all(
      left.map(async ({ record, identity }) => {
        if (isRerun) return deps.run(held, record, scope, journaled.begun(identity.key) ?? MAYBE_BEGUN)
        const stay = scope.enter()
        if (stay === undefined) return false
        try {
          await deps.writeError(held, identity, lostBy(gatewayOf(record) ?? ''))
        } finally {
          stay.leave()
        }
        deps.onLost(held.pipeline)
        return true
      }),
    )
    if (ended.includes(false) && due.has(held.pipeline) && !signal.aborted)
      throw new ServingError('CANCELLED', 'not all requests were ended')
  }

  const lookBackMs = (pipeline: string): number => MARGIN_MS + (deps.plan(pipeline)?.plan.timeoutMs ?? 0)

  return {
    begin: (pipeline, fromMs, scope) => {
      scopes.set(pipeline, scope)
      due.set(pipeline, undefined)
      ask(pipeline, fromMs - lookBackMs(pipeline))
    },
    end: (pipeline) => {
      due.delete(pipeline)
      scopes.delete(pipeline)
    },
    saw: (pipeline, record) => {
      const gateway = gatewayOf(record)
      if (gateway !== undefined && alive.isKnown() && alive.isAlive(gateway) !== true)
        ask(pipeline, record.timestampMs - MARGIN_MS)
    },
    look: () => {
      for (const pipeline of due.keys()) ask(pipeline, alive.sureUntilMs() - lookBackMs(pipeline))
    },
  }
}
