import { Admin, Consumer } from '@platformatic/kafka'
import { ServingError } from '../../kit/errors.ts'
import { type ReadRecords, readBatches } from './batches.ts'
import type { FetchOptions, KafkaReader, Position } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { toKafkaError } from './failures.ts'
import { closeNow, libraryOptions } from './library-options.ts'

export const AT = { earliest: -2n, latest: -1n } as const

export function createReader(connection: KafkaConnection, clientId: string): KafkaReader {
  // The library asks for a group even where none is joined. Long polls have connections of their own: a broker answers
  // the requests of one connection in their order.
  const polling = new Consumer({ ...libraryOptions(connection, clientId), groupId: 'none', requestTimeout: 60_000 })
  const asking = new Consumer({ ...libraryOptions(connection, clientId), groupId: 'none' })
  const admin = new Admin(libraryOptions(connection, clientId))
  return {
    async positions(topics, at) {
      try {
        const ask = (timestamp: bigint) => asking.listOffsets({ topics: [...topics], timestamp })
        if (typeof at !== 'number') return toPositions(await ask(AT[at]))
        const [since, ends] = await Promise.all([ask(BigInt(Math.max(0, Math.floor(at)))), ask(AT.latest)])
        return toPositions(since).map(({ topic, partition, offset }) => ({
          topic,
          partition,
          offset: offset < 0n ? (ends.get(topic)?.[partition] ?? 0n) : offset,
        }))
      } catch (error) {
        throw toKafkaError('offsets cannot be asked for', error)
      }
    },
    async fetch(positions, options) {
      try {
        return await fetchFrom(polling, asking, positions, options)
      } catch (error) {
        throw toKafkaError('records cannot be read', error)
      }
    },
    async commit(group, positions) {
      const topics = byTopic(positions).map(([name, some]) => ({
        name,
        partitionOffsets: some.map(({ partition, offset }) => ({ partition, offset })),
      }))
      try {
        await admin.alterConsumerGroupOffsets({ groupId: group, topics })
      } catch (error) {
        throw toKafkaError(`offsets of ${group} cannot be committed`, error)
      }
    },
    async committed(group, topics) {
      try {
        // Without their names Kafka tells all that the group ever committed.
        const known = await asking.metadata({ topics: [...topics] })
        const asked = [...known.topics].map(([name, { partitions }]) => ({
          name,
          partitionIndexes: Object.keys(partitions).map(Number),
        }))
        const groups = await admin.listConsumerGroupOffsets({ groups: [{ groupId: group, topics: asked }] })
        return groups
          .flatMap((found) => found.topics)
          .flatMap(({ name, partitions }) =>
            partitions
              .filter(({ committedOffset }) => committedOffset >= 0n)
              .map((found) => ({ topic: name, partition: found.partitionIndex, offset: found.committedOffset })),
          )
      } catch (error) {
        throw toKafkaError(`offsets of ${group} cannot be asked for`, error)
      }
    },
    close: async () => {
      await Promise.all([closeNow(polling), closeNow(asking), closeNow(admin)])
    },
  }
}

const toPositions = (offsets: ReadonlyMap<string, readonly bigint[]>): Position[] =>
  [...offsets].flatMap(([topic, list]) => list.map((offset, partition) => ({ topic, partition, offset })))

async function fetchFrom(
  polling: Consumer,
  asking: Consumer,
  positions: readonly Position[],
  { maxWaitMs, maxBytes }: FetchOptions,
) {
  const { topics } = await asking.metadata({ topics: [...new Set(positions.map(({ topic }) => topic))] })
  const names = new Map([...topics].map(([name, { id }]) => [id, name]))
  const byLeader = new Map<number, Position[]>()
  for (const position of positions) {
    const leader = topics.get(position.topic)?.partitions[position.partition]?.leader
    if (leader === undefined)
      throw new ServingError('NOT_FOUND', `topic ${position.topic} has no partition ${String(position.partition)}`)
    const some = byLeader.get(leader)
    if (some) some.push(position)
    else byLeader.set(leader, [position])
  }
  const responses = await Promise.all(
    [...byLeader].map(([node, some]) =>
      polling.fetch({
        node,
        maxWaitTime: maxWaitMs,
        minBytes: 1,
        maxBytes,
        topics: byTopic(some).map(([name, list]) => ({
          topicId: topics.get(name)?.id ?? '',
          partitions: list.map(({ partition, offset }) => ({
            partition,
            currentLeaderEpoch: -1,
            fetchOffset: offset,
            lastFetchedEpoch: -1,
            partitionMaxBytes: maxBytes,
          })),
        })),
      }),
    ),
  )
  const asked = new Map(positions.map((position) => [`${position.topic}:${String(position.partition)}`, position]))
  const found = new Map<string, ReadRecords>()
  for (const { topicId, partitions } of responses.flatMap((response) => response.responses)) {
    const topic = names.get(topicId) ?? ''
    for (const { partitionIndex: partition, records } of partitions) {
      const from = asked.get(`${topic}:${String(partition)}`)
      if (from !== undefined) found.set(`${topic}:${String(partition)}`, readBatches(from, records ?? []))
    }
  }
  const of = ({ topic, partition }: Position) => found.get(`${topic}:${String(partition)}`)
  return {
    records: positions.flatMap((position) => of(position)?.records ?? []),
    next: positions.map((position) => ({ ...position, offset: of(position)?.next ?? position.offset })),
  }
}

export function byTopic<P extends { readonly topic: string }>(positions: readonly P[]): [string, P[]][] {
  const topics = new Map<string, P[]>()
  for (const position of positions) {
    const some = topics.get(position.topic)
    if (some) some.push(position)
    else topics.set(position.topic, [position])
  }
  return [...topics]
}
