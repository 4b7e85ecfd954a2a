import { expect, test } from 'vitest'
import type { KafkaReader, Position } from '../../../dataflow/kafka/client.ts'
import { gatherQuestions } from '../../../dataflow/kafka/gathered-reader.ts'

const at = (topic: string): Position => ({ topic, partition: 0, offset: BigInt(topic.length) })

function scene() {
  const asked: string[] = []
  const answer = (what: string) => async (topics: readonly string[]) => {
    asked.push(`${what} ${String(topics.length)}`)
    await new Promise((resolve) => setImmediate(resolve))
    if (topics.includes('missing')) throw new Error('missing is not there')
    return topics.map(at)
  }
  const reader: KafkaReader = {
    positions: (topics, from) => answer(String(from))(topics),
    committed: (group, topics) => answer(group)(topics),
    fetch: () => Promise.reject(new Error('nobody asks')),
    commit: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  return { asked, reader: gatherQuestions(reader) }
}

test('a thousand questions at once are two, and each has its own answer', async () => {
  const { asked, reader } = scene()
  const topics = Array.from({ length: 1_000 }, (_, index) => `topic-${String(index)}`)
  const found = await Promise.all(topics.map((topic) => reader.committed('g', [topic])))
  expect(found).toEqual(topics.map((topic) => [at(topic)]))
  expect(asked).toEqual(['g 1', 'g 999'])
})

test('groups, begins and ends are asked apart; times alone', async () => {
  const { asked, reader } = scene()
  await Promise.all([
    reader.committed('g', ['a']),
    reader.committed('h', ['a']),
    reader.positions(['a'], 'earliest'),
    reader.positions(['a'], 'latest'),
    reader.positions(['a'], 7),
    reader.positions(['b'], 7),
  ])
  expect(asked.toSorted()).toEqual(['7 1', '7 1', 'earliest 1', 'g 1', 'h 1', 'latest 1'])
})

test('a topic that is not there fails whoever asked for it, and nobody else', async () => {
  const { reader } = scene()
  const found = await Promise.allSettled(['a', 'b', 'missing', 'c'].map((topic) => reader.positions([topic], 'latest')))
  expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
  expect(await reader.positions(['a'], 'latest')).toEqual([at('a')]) // and it goes on
})
