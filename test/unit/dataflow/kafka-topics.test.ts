import { expect, test } from 'vitest'
import { KafkaTopics } from '../../../dataflow/journal/kafka-topics.ts'
import type { KafkaAdmin } from '../../../dataflow/kafka/client.ts'
import { ServingError } from '../../../kit/errors.ts'

const OPTIONS = { space: { prefix: 's', namespace: 'd' }, partitions: 1, replicationFactor: 1, maxRecordBytes: 1_000 }

/** A broker that refuses the topic `bad`; every creation ends when the test says so. */
function scene() {
  const created: string[][] = []
  const ends: (() => void)[] = []
  const admin: KafkaAdmin = {
    brokers: () => Promise.resolve(1),
    partitions: () => Promise.resolve(new Map()),
    createTopics: async (topics) => {
      created.push([...topics])
      await new Promise<void>((resolve) => ends.push(resolve))
      if (topics.includes('bad')) throw new ServingError('CONFIG_INVALID', 'bad cannot be made')
    },
    deleteTopics: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const endNext = async (): Promise<void> => {
    await expect.poll(() => ends.length).toBeGreaterThan(0)
    ends.shift()?.()
  }
  return { topics: new KafkaTopics(admin, OPTIONS), created, endNext }
}

test('what is asked for while topics are made is made together, each once', async () => {
  const { topics, created, endNext } = scene()
  const first = topics.ensureNames(['a'])
  await expect.poll(() => created.length).toBe(1)
  const others = [topics.ensureNames(['b', 'shared']), topics.ensureNames(['c', 'shared'])]
  await endNext()
  await first
  await endNext()
  await Promise.all(others)
  expect(created).toEqual([['a'], ['b', 'shared', 'c']])
})

test('a topic that cannot be made keeps no others from being made', async () => {
  const { topics, endNext } = scene()
  const first = topics.ensureNames(['a'])
  const good = topics.ensureNames(['b'])
  const bad = topics.ensureNames(['bad'])
  const refused = expect(bad).rejects.toThrow('bad cannot be made')
  for (let made = 0; made < 4; made += 1) await endNext()
  await Promise.all([first, good, refused])
})
