/**
 * A reader whose questions about topics go together: while one is on its way those that come wait, and are asked as one. So whoever
 * begins with a thousand topics at once asks a few times, not thousands of times.
 */
import type { KafkaReader, Position } from './client.ts'
import { byTopic } from './reader.ts'

type Ask = (topics: readonly string[]) => Promise<readonly Position[]>

interface Asked {
  readonly topics: readonly string[]
  readonly resolve: (found: readonly Position[]) => void
  readonly reject: (error: unknown) => void
}

/** Questions for a time go alone. */
export function gatherQuestions(reader: KafkaReader): KafkaReader {
  const begins = gather((topics) => reader.positions(topics, 'earliest'))
  const ends = gather((topics) => reader.positions(topics, 'latest'))
  /** By group, while somebody asks. */
  const commits = new Map<string, { readonly ask: Ask; asking: number }>()
  return {
    ...reader,
    positions: (topics, at) => {
      if (at === 'earliest') return begins(topics)
      return at === 'latest' ? ends(topics) : reader.positions(topics, at)
    },
    committed: async (group, topics) => {
      const commit = commits.get(group) ?? { ask: gather((all) => reader.committed(group, all)), asking: 0 }
      commits.set(group, commit)
      commit.asking += 1
      try {
        return await commit.ask(topics)
      } finally {
        commit.asking -= 1
        if (commit.asking === 0) commits.delete(group)
      }
    },
  }
}

function gather(ask: Ask): Ask {
  let waiting: Asked[] = []
  let isAsking = false

  const work = async (): Promise<void> => {
    isAsking = true
    while (waiting.length > 0) {
      const some = waiting
      waiting = []
      try {
        const found = new Map(byTopic(await ask([...new Set(some.flatMap(({ topics }) => topics))])))
        for (const { topics, resolve } of some) resolve(topics.flatMap((topic) => found.get(topic) ?? []))
      } catch (error) {
        // A topic that is not there concerns nobody else.
        if (some.length === 1) for (const { reject } of some) reject(error)
        else for (const { topics, resolve, reject } of some) await ask(topics).then(resolve, reject)
      }
    }
    isAsking = false
  }

  return (topics) =>
    new Promise((resolve, reject) => {
      waiting.push({ topics, resolve, reject })
      if (!isAsking) void work()
    })
}
