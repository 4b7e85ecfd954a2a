import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { FetchPoint } from '../../../../dataflow/kafka/client.ts'
import { FetchSession, type SessionRequest } from '../../../../dataflow/kafka/fetch-session.ts'

/** What a broker knows after a request (KIP-227); a new session at epoch 0. */
function broker() {
  let [id, epoch] = [0, 0]
  let known = new Map<string, bigint>()
  return (request: SessionRequest): { id: number; known: ReadonlyMap<string, bigint> } => {
    if (request.epoch === 0) {
      known = new Map()
      id += 1
      epoch = 1
    } else {
      expect([request.sessionId, request.epoch]).toEqual([id, epoch])
      epoch += 1
    }
    for (const { topicId, partition } of request.forgotten) known.delete(`${topicId}:${String(partition)}`)
    for (const { topicId, partition, offset } of request.told) known.set(`${topicId}:${String(partition)}`, offset)
    return { id, known }
  }
}

it('a broker that is told what changed knows what is wanted, across failures and brokers that remember nothing', () => {
  const step = fc.record({
    wanted: fc.uniqueArray(fc.integer({ min: 0, max: 9 })),
    moved: fc.uniqueArray(fc.integer({ min: 0, max: 9 })),
    end: fc.constantFrom('accepted', 'accepted', 'accepted', 'forgotten', 'failed'),
  })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const session = new FetchSession()
      const hear = broker()
      const points = Array.from({ length: 10 }, (_, partition): FetchPoint => ({
        topic: 't',
        topicId: partition < 5 ? 'a' : 'b',
        partition,
        offset: 0n,
      }))
      let last: readonly FetchPoint[] = []
      let isKnown = false
      for (const { wanted, moved, end } of steps) {
        for (const index of moved)
          points[index] = { ...(points[index] as FetchPoint), offset: (points[index] as FetchPoint).offset + 1n }
        const asked = wanted.map((index) => points[index] as FetchPoint)
        const request = session.next(asked)
        if (isKnown) expect(request.told).toEqual(asked.filter((point) => !last.includes(point)))
        const heard = hear(request)
        expect(heard.known).toEqual(
          new Map(asked.map(({ topicId, partition, offset }) => [`${topicId}:${String(partition)}`, offset])),
        )
        if (end === 'failed') session.reset()
        else session.accepted(end === 'forgotten' ? 0 : heard.id)
        isKnown = end === 'accepted'
        last = asked
      }
    }),
  )
})
