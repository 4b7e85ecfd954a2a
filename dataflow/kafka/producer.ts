/**
 * The idempotent producer. Records are numbered in each partition; what was sent and not acknowledged is sent once more just as it
 * was, to the leaders of that moment: whoever has it already says so and keeps it once. After any other failure its numbers may
 * no longer be the broker's, which would take new records for known ones and drop them: identity, numbers and connections
 * are thrown away, and the next records get an identity, and numbers, of their own.
 */
import { type ConnectionPool, initProducerIdV4, produceV9, Writer } from '@platformatic/kafka'
import { atMost } from '../../kit/deadline.ts'
import { Brokers } from './brokers.ts'
import type { KafkaProducer, OutgoingRecord, SendOptions, SendResult } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { CODE, despiteErrors, hasCode, isRecordWith, reasonOf } from './failures.ts'
import { encodeBatch, encodeProduce, PRODUCE, type ProducedBatch, type ProducerIdentity } from './record-batch.ts'

const ACKNOWLEDGED: SendResult = { kind: 'acknowledged' }
const LATE: SendResult = { kind: 'unavailable', reason: 'no acknowledgement in time' }
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

/** The records of one partition, one batch. */
interface Part {
  readonly topic: string
  readonly partition: number
  readonly records: OutgoingRecord[]
  /** Written once, so that what is sent again is the same. */
  batch: Buffer | undefined
  result: SendResult | undefined
  /** Why it has no result yet. */
  reason: string
}

/** Of one identity. */
interface Session {
  readonly brokers: Brokers
  readonly pool: ConnectionPool
  readonly sequences: Map<string, number>
  readonly leaders: Map<string, readonly number[]>
  identity: ProducerIdentity | undefined
}

export function createProducer(connection: KafkaConnection, clientId: string): KafkaProducer {
  let current: Session | undefined
  const open = (): Session => {
    const brokers = new Brokers(connection, clientId)
    return { brokers, pool: brokers.pool(), sequences: new Map(), leaders: new Map(), identity: undefined }
  }
  const discard = async (): Promise<void> => {
    const failed = current
    current = undefined
    await failed?.brokers.close()
  }
  return {
    async send(records, options) {
      const parts = toParts(records)
      const session = (current ??= open())
      await atMost(options.timeoutMs, sendAll(session, parts, options))
      const results = new Map<OutgoingRecord, SendResult>()
      for (const { records: sent, result = LATE } of parts) for (const record of sent) results.set(record, result)
      const isSure = parts.every(({ result }) => result?.kind === 'acknowledged' || result?.kind === 'unknownTopic')
      if (!isSure) void discard()
      return records.map((record) => results.get(record) ?? LATE)
    },
    close: discard,
  }
}

function toParts(records: readonly OutgoingRecord[]): readonly Part[] {
  const parts = new Map<string, Part>()
  for (const record of records) {
    const { topic, partition } = record
    const key = keyOf(record)
    const known = parts.get(key)
    if (known !== undefined) known.records.push(record)
    else parts.set(key, { topic, partition, records: [record], batch: undefined, result: undefined, reason: '' })
  }
  return [...parts.values()]
}

const keyOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}:${String(partition)}`

/** Until every part has its result, or a failure that does not pass. */
async function sendAll(
  session: Session,
  parts: readonly Part[],
  { compression, timeoutMs }: SendOptions,
): Promise<void> {
  const giveUpAtMs = performance.now() + timeoutMs
  for (let left = parts; ; left = left.filter(({ result }) => result === undefined)) {
    try {
      await findLeaders(session, left)
      session.identity ??= await identify(session.brokers)
      const { identity } = session
      const known = left.filter(({ result }) => result === undefined)
      for (const part of known) {
        const sequence = session.sequences.get(keyOf(part)) ?? 0
        part.batch ??= encodeBatch(part.records, { identity, sequence, compression, nowMs: Date.now() })
      }
      await Promise.all(byLeader(session, known).map(([node, some]) => produce(session, node, some)))
    } catch (error) {
      const reason = reasonOf(error)
      if (!isLoading(error)) {
        giveUp(left, reason) // nobody is there to ask
        return
      }
      for (const part of left) part.reason = reason
    }
    if (parts.every(({ result }) => result !== undefined)) return
    if (performance.now() + LEADER_PAUSE_MS >= giveUpAtMs) break
    await new Promise((done) => setTimeout(done, LEADER_PAUSE_MS))
    session.leaders.clear()
  }
  for (const part of parts) giveUp([part], part.reason)
}

function giveUp(parts: readonly Part[], reason: string): void {
  for (const part of parts) part.result ??= { kind: 'unavailable', reason }
}

/** @throws ServingError, or the library's error, when no broker answers */
async function findLeaders({ brokers, leaders }: Session, parts: readonly Part[]): Promise<void> {
  const asked = new Set(parts.map(({ topic }) => topic).filter((topic) => !leaders.has(topic)))
  if (asked.size === 0) return
  const found = await brokers.topics([...asked])
  for (const [topic, facts] of found) leaders.set(topic, facts.leaders)
  for (const part of parts) if (!leaders.has(part.topic)) part.result = { kind: 'unknownTopic' }
}

async function identify(brokers: Brokers): Promise<ProducerIdentity> {
  const { producerId, producerEpoch } = await initProducerIdV4.api.async(await brokers.anyToAsk(), ...NO_TRANSACTION)
  return { id: producerId, epoch: producerEpoch }
}

/** A broker that has just started cannot give identities yet. */
const isLoading = (error: unknown): boolean =>
  hasCode(error, CODE.coordinatorLoading) || hasCode(error, CODE.noCoordinator)

/** Parts whose partition nobody leads at this moment are left out. */
function byLeader({ leaders }: Session, parts: readonly Part[]): readonly (readonly [number, readonly Part[]])[] {
  const nodes = new Map<number, Part[]>()
  for (const part of parts) {
    const node = leaders.get(part.topic)?.[part.partition] ?? NO_LEADER
    if (node === NO_LEADER) part.reason = `${keyOf(part)} has no leader`
    else if (nodes.get(node)?.push(part) === undefined) nodes.set(node, [part])
  }
  return [...nodes]
}

/** Never rejects: parts get their results, or a reason why they have none yet. */
async function produce({ brokers, pool, sequences }: Session, node: number, parts: readonly Part[]): Promise<void> {
  let connection: Connection | undefined
  try {
    connection = await pool.get(brokers.of(node))
    const batches = parts.map(({ topic, partition, batch = Buffer.alloc(0) }) => ({ topic, partition, batch }))
    const { responses } = await despiteErrors(ask(connection, batches), isProduced)
    const answers = new Map(
      responses.flatMap(({ name, partitionResponses }) =>
        partitionResponses.map((answer) => [keyOf({ topic: name, partition: answer.index }), answer] as const),
      ),
    )
    for (const part of parts) {
      const key = keyOf(part)
      const answer = answers.get(key)
      part.reason = answer?.errorMessage ?? `Kafka's error ${String(answer?.errorCode ?? 'unknown')}`
      part.result = answer && toResult(answer)
      if (part.result === ACKNOWLEDGED)
        sequences.set(key, ((sequences.get(key) ?? 0) + part.records.length) % (MAX_SEQUENCE + 1))
    }
  } catch (error) {
    for (const part of parts) part.reason = reasonOf(error)
    void connection?.close().catch(() => undefined) // an answer that comes too late must not be taken for the next one
  }
}

type Connection = Awaited<ReturnType<ConnectionPool['get']>>

const ask = (connection: Connection, batches: readonly ProducedBatch[]): Promise<produceV9.ProduceResponse> =>
  new Promise((resolve, reject) => {
    const write = (): Writer => Writer.create().append(encodeProduce(batches, BROKER_TIMEOUT_MS))
    const done = (error: Error | null, answer?: produceV9.ProduceResponse): void => {
      if (answer === undefined || error !== null) reject(error ?? new Error('the broker gave no answer'))
      else resolve(answer)
    }
    connection.send(PRODUCE.key, PRODUCE.version, write, produceV9.parseResponse, true, true, done)
  })

const isProduced = (value: unknown): value is produceV9.ProduceResponse => isRecordWith(value, 'responses')

/** Undefined: it may pass, so it is sent again. */
function toResult({ errorCode, errorMessage }: produceV9.ProduceResponsePartition): SendResult | undefined {
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
