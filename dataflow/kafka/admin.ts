import { Admin } from '@platformatic/kafka'
import { ServingError } from '../../kit/errors.ts'
import type { KafkaAdmin, TopicSettings } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { CODE, eachError, hasCode, isUnknownTopic, reasonOf, toKafkaError } from './failures.ts'
import { closeNow, libraryOptions } from './library-options.ts'

/** Topics that one request creates or deletes. */
const AT_ONCE = 100
/** Until every broker knows new topics. */
const VISIBLE_DEADLINE_MS = 20_000
const LOOK_EVERY_MS = 20
const LATEST = -1n
/** From three copies on, one may be away and records are still taken. */
const ENOUGH_FOR_A_QUORUM = 3

export function createAdmin(connection: KafkaConnection, clientId: string): KafkaAdmin {
  const options = libraryOptions(connection, clientId)
  const admin = new Admin({ ...options, timeout: 30_000, requestTimeout: 35_000 })
  // Whether brokers answer is asked again and again: each time quickly, once.
  const asking = new Admin({ ...options, requestTimeout: 3_000, retries: 0 })
  const partitions = async (topics: readonly string[]): Promise<Map<string, number>> => {
    const found = new Map<string, number>()
    const all = new Set(await admin.listTopics({ includeInternals: false }))
    const there = topics.filter((topic) => all.has(topic))
    for (const some of chunks(there)) {
      const metadata = await admin.metadata({ topics: some, forceUpdate: true })
      for (const [name, topic] of metadata.topics) found.set(name, topic.partitionsCount)
    }
    return found
  }
  return {
    async brokers() {
      try {
        return (await asking.metadata({ topics: [], forceUpdate: true })).brokers.size
      } catch (error) {
        throw toKafkaError('the brokers cannot be asked', error)
      }
    },
    async partitions(topics) {
      try {
        return await partitions(topics)
      } catch (error) {
        throw toKafkaError('the topics cannot be asked for', error)
      }
    },
    async createTopics(topics, settings) {
      try {
        for (const some of chunks(topics)) await create(admin, some, settings)
        for (const some of chunks(topics)) await visible(admin, some)
      } catch (error) {
        throw toCreateError(error, settings)
      }
    },
    async deleteTopics(topics) {
      for (const some of chunks(topics)) {
        try {
          await admin.deleteTopics({ topics: [...some] })
        } catch (error) {
          if (!onlyCode(error, CODE.unknownTopic)) throw toKafkaError('topics cannot be deleted', error)
        }
      }
    },
    close: async () => {
      await Promise.all([closeNow(admin), closeNow(asking)])
    },
  }
}

async function create(admin: Admin, topics: readonly string[], settings: TopicSettings): Promise<void> {
  const { partitions, replicationFactor: replicas, maxMessageBytes } = settings
  const configs = [
    { name: 'max.message.bytes', value: String(maxMessageBytes) },
    { name: 'min.insync.replicas', value: replicas >= ENOUGH_FOR_A_QUORUM ? '2' : '1' },
  ]
  try {
    await admin.createTopics({ topics: [...topics], partitions, replicas, configs })
  } catch (error) {
    if (!onlyCode(error, CODE.topicExists)) throw error
  }
}

/** A controller answers before the brokers know: asks until all topics have leaders, which serve. */
async function visible(admin: Admin, topics: readonly string[]): Promise<void> {
  const giveUpAt = performance.now() + VISIBLE_DEADLINE_MS
  while (!(await led(admin, topics))) {
    if (performance.now() > giveUpAt) throw new Error(`topics have no leaders after ${String(VISIBLE_DEADLINE_MS)} ms`)
    await new Promise((done) => setTimeout(done, LOOK_EVERY_MS))
  }
}

async function led(admin: Admin, topics: readonly string[]): Promise<boolean> {
  try {
    const { topics: known } = await admin.metadata({ topics: [...topics], forceUpdate: true })
    if ([...known.values()].some(({ partitions }) => partitions.some(({ leader }) => leader < 0))) return false
    // A leader that was told of may not know yet that it is one.
    await admin.listOffsets({
      topics: [...known].map(([name, { partitions }]) => ({
        name,
        partitions: partitions.map((_, partitionIndex) => ({ partitionIndex, timestamp: LATEST })),
      })),
    })
    return true
  } catch (error) {
    if (isUnknownTopic(error) || hasCode(error, CODE.notLeader)) return false
    throw error
  }
}

/** Whether each of a request's topics failed with this code or not at all. */
function onlyCode(error: unknown, code: number): boolean {
  const codes = [...eachError(error)].map(({ apiCode }) => apiCode).filter((apiCode) => apiCode !== undefined)
  return codes.length > 0 && codes.every((apiCode) => apiCode === code)
}

function toCreateError(error: unknown, { replicationFactor, partitions }: TopicSettings): ServingError {
  if (hasCode(error, CODE.invalidReplication))
    return new ServingError(
      'CONFIG_INVALID',
      `replicationFactor ${String(replicationFactor)}: Kafka has not that many brokers (${reasonOf(error)})`,
      { cause: error },
    )
  if (hasCode(error, CODE.invalidPartitions))
    return new ServingError('CONFIG_INVALID', `partitions ${String(partitions)}: ${reasonOf(error)}`, { cause: error })
  return toKafkaError('topics cannot be created', error)
}

function* chunks(topics: readonly string[]): Generator<string[]> {
  for (let at = 0; at < topics.length; at += AT_ONCE) yield topics.slice(at, at + AT_ONCE)
}
