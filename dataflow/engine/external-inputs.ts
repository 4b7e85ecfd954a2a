/**
 * What pipelines take from others (`spec.input`): the owner of one reads the topics that it names, joins their records by
 * request, and puts the result on the pipeline's own inputs, under the same key. From there it is run like any request.
 *
 * A record is done when the request that came of it is acknowledged, or nothing can come of it: at least once. After a crash what
 * the topic of inputs has already is not put there again.
 */
import { pause } from '../../kit/backoff.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { beginGroup } from '../consumer/group-begin.ts'
import { bytesOf } from '../consumer/held-partition.ts'
import type { SharedReading } from '../consumer/types.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import type { EdgeMessage } from '../executor/types.ts'
import { decodeRequest, decodeResponse, headerOf } from '../journal/decode.ts'
import { journalHeaders } from '../journal/journal-headers.ts'
import type { Journal } from '../journal/journal.ts'
import { ERRORS_HEADER, FED_HEADER, REPLAYED_HEADER, topicName, type TopicSpace } from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import { type ExternalPlan, externalPlan, takenTopics } from '../plan/external.ts'
import type { PlanEdge } from '../plan/plan.ts'
import { type Arrival, type Ending, ExternalKeys, type Joined, lifeMs } from './external-keys.ts'
import { fedIdentity, type Identity, identify } from './identity.ts'
import { insist } from './insist.ts'
import { readTopics } from '../recovery/read-topics.ts'
import { timesAt } from '../recovery/places.ts'

/** `failed`: an error of the other pipeline, which is nothing to this one. `unreadable`: no message, or without a key. */
export type ExternalOutcome = 'joined' | Ending | 'failed' | 'unreadable'

export interface ExternalInputsDeps {
  readonly space: TopicSpace
  readonly journal: Pick<Journal, 'record' | 'ensureTopics' | 'partitions'>
  readonly shared: Pick<SharedReading, 'subscribe' | 'unsubscribe'>
  readonly reader: KafkaReader
  readonly plan: (pipeline: string) => HeldPlan | undefined
  /** Of each pipeline: what waits for the other inputs. */
  readonly limits: { readonly maxKeys: number; readonly maxBytes: number }
  /** Resolves when the error's records are acknowledged. */
  readonly writeError: (held: HeldPlan, identity: Identity, error: ServingError) => Promise<void>
  readonly count: (pipeline: string, outcome: ExternalOutcome, records: number) => void
  /** As the times of records. */
  readonly nowMs: () => number
  readonly log: Logger
}

export interface ExternalInputs {
  /** From here on nothing is missed, whenever somebody begins. @throws ServingError KAFKA_UNAVAILABLE */
  readonly prepare: (held: HeldPlan) => Promise<void>
  /** Nothing for a pipeline that takes from no other. @throws ServingError KAFKA_UNAVAILABLE */
  readonly begin: (pipeline: string) => Promise<void>
  /** Another version of it serves. */
  readonly changed: (pipeline: string) => void
  /** Resolves when what it has begun to write is acknowledged, or after `waitMs`. */
  readonly end: (pipeline: string, waitMs: number) => Promise<void>
  /** Requests that wait, by pipeline, and their bytes in all. */
  readonly open: () => ReadonlyMap<string, number>
  readonly openBytes: () => number
}

/** What is remembered of a record while it waits. */
interface Own {
  readonly record: IncomingRecord
  readonly identity: Identity
  readonly done: () => void
}

interface Unit {
  readonly ending: AbortController
  readonly keys: ExternalKeys<Own>
  readonly writing: Set<Promise<void>>
  /** Topic to the pipelines whose records are taken of it. */
  readonly topics: Map<string, ReadonlySet<string> | undefined>
  external: ExternalPlan
  /** One change of what is read after the other. */
  work: Promise<void>
}

export const externalGroup = ({ prefix, namespace }: TopicSpace, pipeline: string): string =>
  `${prefix}.${namespace}.engine.${pipeline}.external`

export function createExternalInputs(deps: ExternalInputsDeps): ExternalInputs {
  const { space, journal, shared, reader, limits, count, log } = deps
  const units = new Map<string, Unit>()

  const topicsOf = (external: ExternalPlan): Unit['topics'] =>
    new Map([...takenTopics(external)].map(([end, pipelines]) => [topicName(space, end), pipelines]))

  const prepare = async (pipeline: string, external: ExternalPlan) => {
    await journal.ensureTopics([...takenTopics(external).keys()])
    return beginGroup(reader, externalGroup(space, pipeline), [...topicsOf(external).keys()])
  }

  /** What was put on its inputs by somebody before, as far as it may come again. */
  const recall = async (pipeline: string, unit: Unit): Promise<void> => {
    const begins = await prepare(pipeline, unit.external)
    const ends = await reader.positions([...topicsOf(unit.external).keys()], 'latest')
    const endOf = ({ topic, partition }: IncomingRecord | (typeof ends)[number]): bigint =>
      ends.find((end) => end.topic === topic && end.partition === partition)?.offset ?? 0n
    const unread = await timesAt(reader, begins.filter((begin) => begin.offset < endOf(begin))) // prettier-ignore
    const life = lifeMs(unit.external)
    const inputs = topicName(space, { kind: 'pipeline', name: pipeline, side: 'inputs' })
    await readTopics(reader, [inputs], Math.max(0, Math.min(deps.nowMs(), ...unread) - life), ({ key, headers }) => {
      if (headerOf(headers, FED_HEADER) !== undefined) unit.keys.given(key, life)
    })
  }

  const subscribe = async (pipeline: string, unit: Unit): Promise<void> => {
    const group = externalGroup(space, pipeline)
    const wanted = topicsOf(unit.external)
    for (const [topic, pipelines] of unit.topics)
      if (!wanted.has(topic) || !isSame(wanted.get(topic), pipelines)) {
        unit.topics.delete(topic)
        await shared.unsubscribe(topic, group, 0)
      }
    const begun = [...wanted].map(async ([topic, takes]) => {
      if (unit.topics.has(topic) || unit.ending.signal.aborted) return
      unit.topics.set(topic, takes)
      await shared.subscribe({
        topic,
        group,
        takes,
        // What waits is bounded by `limits`, beyond which the oldest is given up.
        limits: { maxInFlight: 2 * limits.maxKeys, maxInFlightBytes: 2 * limits.maxBytes },
        onRecord: (record, done) => {
          if (units.get(pipeline) === unit) take(pipeline, unit, record, done)
        },
      })
    })
    await Promise.all(begun)
    log.info({ pipeline, topics: [...wanted.keys()] }, 'reading what a pipeline takes from others')
  }

  const take = (pipeline: string, unit: Unit, record: IncomingRecord, done: () => void): void => {
    const found = read(unit.external, record)
    if (typeof found === 'string') {
      count(pipeline, found, 1)
      done()
      return
    }
    const { key } = found.identity
    const own = { record, identity: found.identity, done }
    const { place, message } = found
    const { timestampMs } = record
    unit.keys.offer(unit.external, { key, timestampMs, bytes: bytesOf(record), place, message, own })
  }

  const read = (
    external: ExternalPlan,
    record: IncomingRecord,
  ): { place: string; message: EdgeMessage; identity: Identity } | 'failed' | 'unreadable' => {
    const [place, taken] = [...external.edges].find(([, { from }]) => isOf(from, record)) ?? []
    if (place === undefined || taken === undefined) return 'unreadable'
    if (headerOf(record.headers, ERRORS_HEADER) !== undefined) return 'failed'
    const { end, pipeline: other } = taken.from
    // Of what programs put on the inputs of the other pipeline, its own records have the key that it gives.
    const identity =
      end.kind === 'pipeline' && end.side === 'inputs'
        ? identify(record, other, journal.partitions)
        : fedIdentity(record, journal.partitions)
    if (identity.key === '') return 'unreadable'
    try {
      const message: EdgeMessage =
        end.side === 'inputs'
          ? { kind: 'request', request: decodeRequest(record) }
          : { kind: 'response', response: decodeResponse(record.value) }
      return { place, message, identity }
    } catch {
      return 'unreadable' // whoever wrote it was told
    }
  }

  const isOf = ({ end, pipeline }: PlanEdge, { topic, headers }: IncomingRecord): boolean =>
    topicName(space, end) === topic && (end.kind === 'pipeline' || headerOf(headers, 'pipeline') === pipeline)

  /** Until it is acknowledged, or somebody else reads. */
  const untilDone = (pipeline: string, unit: Unit, what: string, work: (isAgain: boolean) => Promise<void>) =>
    insist({ what, pipeline, signal: unit.ending.signal, log }, work)

  const write = async (pipeline: string, unit: Unit, { key, external, request, of }: Joined<Own>) => {
    const first = of.find(({ place }) => isData(external, place)) ?? of[0]
    const held = deps.plan(pipeline)
    if (first === undefined || held === undefined) return
    const { identity } = first.own
    const isReplayed = of.some(({ own }) => headerOf(own.record.headers, REPLAYED_HEADER) !== undefined)
    const from = [...new Set([...external.edges.values()].map((edge) => edge.from.pipeline))].join(',')
    const usual = journalHeaders({
      pipeline,
      version: held.version,
      requestId: identity.requestId,
      callerHeaders: identity.headers,
    })
    const marks = identity.marks.filter(([name]) => name !== REPLAYED_HEADER && name !== FED_HEADER)
    const isDone = await untilDone(
      pipeline,
      unit,
      'what came from other pipelines could not be recorded',
      async (isAgain) => {
        try {
          await journal.record({
            topic: { kind: 'pipeline', name: pipeline, side: 'inputs' },
            key,
            partition: identity.partition,
            headers: [
              ...usual,
              ...marks,
              [FED_HEADER, from],
              ...(isReplayed || isAgain ? [[REPLAYED_HEADER, '1'] as const] : []),
            ],
            message: { kind: 'request', request },
            onFailure: 'fail-closed',
          })
        } catch (error) {
          const failure = toServingError(error)
          if (failure.code !== 'REQUEST_TOO_LARGE') throw failure
          await deps.writeError(held, identity, failure)
        }
      },
    )
    if (!isDone) return
    for (const { own } of of) own.done()
    count(pipeline, 'joined', of.length)
  }

  const giveUp = async (pipeline: string, unit: Unit, of: readonly Arrival<Own>[], why: Ending): Promise<void> => {
    const [first] = of
    const held = deps.plan(pipeline)
    if (why === 'overflow' && first !== undefined && held !== undefined) {
      const text = `too much waits for what the other inputs give (${String(limits.maxKeys)} requests, ${String(limits.maxBytes)} bytes): the oldest is given up`
      log.warn({ pipeline, key: first.key }, 'what came from another pipeline is given up: too much waits')
      const error = new ServingError('SERVER_OVERLOADED', text)
      const isDone = await untilDone(pipeline, unit, 'an error could not be recorded', () =>
        deps.writeError(held, first.own.identity, error),
      )
      if (!isDone) return
    }
    for (const { own } of of) own.done()
    count(pipeline, why, of.length)
  }

  const created = (pipeline: string, external: ExternalPlan): Unit => {
    const track = (work: Promise<void>): void => {
      unit.writing.add(work)
      void work.finally(() => unit.writing.delete(work))
    }
    const unit: Unit = {
      ending: new AbortController(),
      keys: new ExternalKeys<Own>({
        limits,
        nowMs: () => performance.now(),
        at: (atMs, work) => {
          const timer = setTimeout(work, Math.max(0, atMs - performance.now()))
          return () => {
            clearTimeout(timer)
          }
        },
        onJoined: (joined) => {
          track(write(pipeline, unit, joined))
        },
        onEnded: (_, of, why) => {
          track(giveUp(pipeline, unit, of, why))
        },
      }),
      writing: new Set(),
      topics: new Map(),
      external,
      work: Promise.resolve(),
    }
    return unit
  }

  const end = async (pipeline: string, waitMs: number): Promise<void> => {
    const unit = units.get(pipeline)
    if (unit === undefined) return
    units.delete(pipeline)
    unit.keys.close() // what waits is read again by whoever is next
    const group = externalGroup(space, pipeline)
    const stop = new AbortController()
    await Promise.race([Promise.all(unit.writing), pause(waitMs, stop.signal)])
    stop.abort()
    unit.ending.abort()
    await Promise.all([...unit.topics.keys()].map((topic) => shared.unsubscribe(topic, group, 0)))
  }

  return {
    prepare: async (held) => {
      const external = externalPlan(held.plan)
      if (external !== undefined) await prepare(held.pipeline, external)
    },
    begin: async (pipeline) => {
      const held = deps.plan(pipeline)
      const external = held && externalPlan(held.plan)
      if (external === undefined || units.has(pipeline)) return
      const unit = created(pipeline, external)
      await recall(pipeline, unit)
      units.set(pipeline, unit)
      unit.work = subscribe(pipeline, unit) // ends with the unit, should a topic be gone
    },
    changed: (pipeline) => {
      const unit = units.get(pipeline)
      const held = deps.plan(pipeline)
      const external = held && externalPlan(held.plan)
      if (unit === undefined || external === undefined || unit.external.plan.version === external.plan.version) return
      unit.work = unit.work.then(async () => {
        unit.external = external
        await untilDone(pipeline, unit, 'what a pipeline takes from others cannot be read yet', async () => {
          await prepare(pipeline, external)
          await subscribe(pipeline, unit)
        })
      })
    },
    end,
    open: () => new Map([...units].map(([pipeline, { keys }]) => [pipeline, keys.open])),
    openBytes: () => [...units.values()].reduce((sum, { keys }) => sum + keys.bytes, 0),
  }
}

const isData = ({ plan, edges }: ExternalPlan, place: string): boolean =>
  plan.nodes[0]?.data.sources.some((source) => source.edge === edges.get(place)?.edge) === true

const isSame = (a: ReadonlySet<string> | undefined, b: ReadonlySet<string> | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.size === b.size && [...a].every((name) => b.has(name)))
