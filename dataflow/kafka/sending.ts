/**
 * One `send` of a producer: the parts that it is made of, sent to their leaders until each has its result. What was sent and not
 * acknowledged is sent once more just as it was, to the leaders of that moment.
 */
import { type Connection, type ConnectionPool, initProducerIdV4, Writer } from '@platformatic/kafka'
import { ServingError } from '../../kit/errors.ts'
import type { Brokers } from './brokers.ts'
import type { OutgoingRecord, SendOptions, SendResult } from './client.ts'
import { CODE, hasCode, reasonOf } from './failures.ts'
import { type ProducedAnswer, readProduced } from './produced.ts'
import { encodeBatch, encodeProduce, PRODUCE, type ProducerIdentity } from './record-batch.ts'

const ACKNOWLEDGED: SendResult = { kind: 'acknowledged' }
/** While partitions have no leader: what is sent again, and how soon. */
const LEADER_PAUSE_MS = 100
const NO_LEADER = -1
/** How long a leader waits for the other replicas. */
const BROKER_TIMEOUT_MS = 5_000
/** Numbers begin again after this one. */
const MAX_SEQUENCE = 0x7fff_ffff
/** A transaction, which there is none of, may take so long. */
const NO_TRANSACTION = [null, 0, -1n, -1] as const
/** Kafka's errors that may pass: another leader, too few replicas, a slow or failing disk. */
const PASSING: ReadonlySet<number> = new Set([
  CODE.unknownTopic,
  CODE.noLeader,
  CODE.notLeader,
  CODE.timedOut,
  CODE.noReplica,
  CODE.networkException,
  CODE.tooFewReplicas,
  CODE.tooFewReplicasAfterAppend,
  CODE.storageError,
  CODE.fencedLeader,
  CODE.unknownLeader,
])

/** What is known of a topic, under one identity. */
export interface Topic {
  readonly name: string
  leaders: readonly number[] | undefined
  /** Of each partition's next record. */
  readonly sequences: number[]
  /** Of what is being sent, at the partition's number. */
  readonly parts: (Part | undefined)[]
}

/** The records of one partition, one batch. */
export class Part {
  readonly of: Topic
  readonly topic: string
  readonly partition: number
  readonly records: OutgoingRecord[] = []
  /** Written once, so that what is sent again is the same. */
  batch: Buffer = NO_BYTES
  result: SendResult | undefined
  /** Why it has no result yet. */
  reason = ''

  constructor(of: Topic, partition: number) {
    this.of = of
    this.topic = of.name
    this.partition = partition
  }
}

const NO_BYTES = Buffer.alloc(0)
const NO_PARTS: readonly Part[] = []

/** Of one identity. */
export interface Session {
  readonly brokers: Brokers
  readonly pool: ConnectionPool
  readonly topics: Map<string, Topic>
  /** To the leaders, by their numbers. */
  readonly connections: Map<number, Connection>
  identity: ProducerIdentity | undefined
}

export const isDone = ({ result }: Part): boolean => result !== undefined

/**
 * Until every part has its result, or a failure that does not pass. When leaders, identity and connections are known, as nearly
 * always, nothing is waited for but the answer.
 */
export function sendAll(session: Session, parts: readonly Part[], options: SendOptions, done: () => void): void {
  const giveUpAtMs = performance.now() + options.timeoutMs
  if (!isReady(session, parts)) {
    void sendLeft(session, parts, options, giveUpAtMs, false).then(done)
    return
  }
  try {
    askLeaders(session, parts, options, () => {
      if (parts.every(isDone)) done()
      else void sendLeft(session, parts, options, giveUpAtMs, true).then(done)
    })
  } catch (error) {
    giveUp(parts, reasonOf(error)) // it cannot be written
    done()
  }
}

function isReady({ identity, connections }: Session, parts: readonly Part[]): boolean {
  if (identity === undefined) return false
  for (const { of, partition } of parts)
    if (connections.get(of.leaders?.[partition] ?? NO_LEADER)?.isConnected() !== true) return false
  return true
}

/** Never rejects. */
async function sendLeft(
  session: Session,
  parts: readonly Part[],
  options: SendOptions,
  giveUpAtMs: number,
  wasAsked: boolean,
): Promise<void> {
  for (let isAgain = wasAsked; ; isAgain = true) {
    const left = parts.filter((part) => !isDone(part))
    if (left.length === 0) return
    if (isAgain) {
      if (performance.now() + LEADER_PAUSE_MS >= giveUpAtMs) break
      await new Promise((done) => setTimeout(done, LEADER_PAUSE_MS))
      for (const topic of session.topics.values()) topic.leaders = undefined
    }
    try {
      await findLeaders(session, left)
      session.identity ??= await identify(session.brokers)
      const known = left.filter((part) => !isDone(part))
      await connect(session, known)
      await new Promise<void>((done) => {
        askLeaders(session, known, options, done)
      })
    } catch (error) {
      const reason = reasonOf(error)
      if (!isLoading(error)) {
        giveUp(left, reason) // nobody is there to ask
        return
      }
      for (const part of left) part.reason = reason
    }
  }
  for (const part of parts) giveUp([part], part.reason)
}

function giveUp(parts: readonly Part[], reason: string): void {
  for (const part of parts) part.result ??= { kind: 'unavailable', reason }
}

/** @throws ServingError, or the library's error, when no broker answers */
async function findLeaders({ brokers, topics, connections }: Session, parts: readonly Part[]): Promise<void> {
  const asked = new Set(parts.filter(({ of }) => of.leaders === undefined).map(({ topic }) => topic))
  if (asked.size === 0) return
  const found = await brokers.topics([...asked])
  connections.clear() // brokers may be elsewhere
  for (const [name, { leaders }] of found) {
    const topic = topics.get(name)
    if (topic !== undefined) topic.leaders = leaders
  }
  for (const part of parts) if (part.of.leaders === undefined) part.result = { kind: 'unknownTopic' }
}

async function identify(brokers: Brokers): Promise<ProducerIdentity> {
  const { producerId, producerEpoch } = await initProducerIdV4.api.async(await brokers.anyToAsk(), ...NO_TRANSACTION)
  return { id: producerId, epoch: producerEpoch }
}

/** A broker that has just started cannot give identities yet. */
const isLoading = (error: unknown): boolean =>
  hasCode(error, CODE.coordinatorLoading) || hasCode(error, CODE.noCoordinator)

/** To all leaders that can be reached; of the others' parts stands why not. */
async function connect({ brokers, pool, connections }: Session, parts: readonly Part[]): Promise<void> {
  await Promise.all(
    byLeader(parts).map(async ([node, some]) => {
      try {
        connections.set(node, await pool.get(brokers.of(node)))
      } catch (error) {
        connections.delete(node)
        for (const part of some) part.reason = reasonOf(error)
      }
    }),
  )
}

/** Parts whose partition nobody leads at this moment are left out. */
function byLeader(parts: readonly Part[]): readonly (readonly [number, readonly Part[]])[] {
  const nodes = new Map<number, Part[]>()
  for (const part of parts) {
    const node = part.of.leaders?.[part.partition] ?? NO_LEADER
    if (node === NO_LEADER) part.reason = `${part.topic}:${String(part.partition)} has no leader`
    else if (nodes.get(node)?.push(part) === undefined) nodes.set(node, [part])
  }
  return [...nodes]
}

/** All at once, over the connections that there are; parts get their results, or a reason why they have none yet. */
function askLeaders(session: Session, parts: readonly Part[], { compression }: SendOptions, done: () => void): void {
  const { identity } = session
  if (identity === undefined) throw new ServingError('INVARIANT_BROKEN', 'a producer without an identity sends')
  for (const part of parts) {
    const sequence = part.of.sequences[part.partition] ?? 0
    if (part.batch === NO_BYTES)
      part.batch = encodeBatch(part.records, { identity, sequence, compression, nowMs: Date.now() })
  }
  const leaders = byLeader(parts)
  let left = leaders.length
  if (left === 0) done()
  for (const [node, some] of leaders)
    new Asking(session, node, some, () => {
      left -= 1
      if (left === 0) done()
    }).send()
}

/** One request to one leader. The library's connection remembers requests for a while: nothing hangs on one that was answered. */
class Asking {
  readonly #session: Session
  readonly #connection: Connection | undefined
  #parts: readonly Part[]
  #done: (() => void) | undefined

  constructor(session: Session, node: number, parts: readonly Part[], done: () => void) {
    this.#session = session
    this.#connection = session.connections.get(node)
    this.#parts = parts
    this.#done = done
  }

  send(): void {
    if (this.#connection === undefined)
      this.#end() // why not stands in the parts
    else this.#connection.send(PRODUCE.key, PRODUCE.version, this.#write, readProduced, true, true, this.#take)
  }

  readonly #write = (): Writer => Writer.create().append(encodeProduce(this.#parts, BROKER_TIMEOUT_MS))

  readonly #take = (error: Error | null, answers?: readonly ProducedAnswer[]): void => {
    if (error === null && answers !== undefined) this.#settle(answers)
    else {
      for (const part of this.#parts) part.reason = reasonOf(error ?? new Error('the broker gave no answer'))
      void this.#connection?.close().catch(() => undefined) // an answer that comes too late must not be taken for the next one
    }
    this.#end()
  }

  #settle(answers: readonly ProducedAnswer[]): void {
    for (const part of this.#parts) part.reason = `Kafka's error unknown`
    for (const answer of answers) {
      const part = this.#session.topics.get(answer.topic)?.parts[answer.partition]
      if (part === undefined || isDone(part)) continue
      part.reason = answer.errorMessage ?? `Kafka's error ${String(answer.errorCode)}`
      part.result = toResult(answer)
      if (part.result !== ACKNOWLEDGED) continue
      const { sequences } = part.of
      sequences[part.partition] = ((sequences[part.partition] ?? 0) + part.records.length) % (MAX_SEQUENCE + 1)
    }
  }

  #end(): void {
    const done = this.#done
    this.#done = undefined
    this.#parts = NO_PARTS
    done?.()
  }
}

/** Undefined: it may pass, so it is sent again. */
function toResult({ errorCode, errorMessage }: ProducedAnswer): SendResult | undefined {
  if (PASSING.has(errorCode)) return undefined
  switch (errorCode) {
    case CODE.none:
    case CODE.duplicateSequence:
      return ACKNOWLEDGED
    case CODE.messageTooLarge:
    case CODE.batchTooLarge:
      return { kind: 'tooLarge' }
    case CODE.invalidRecord:
      return { kind: 'refused', reason: errorMessage ?? 'the broker takes it for invalid' }
    default:
      return { kind: 'unavailable', reason: errorMessage ?? `Kafka's error ${String(errorCode)}` }
  }
}
