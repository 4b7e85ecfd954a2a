/** The parts of the Kafka journal without Kafka. */
import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Registry } from 'prom-client'
import { Lane, type Pending } from '../../../dataflow/journal/lane.ts'
import { openJournal } from '../../../dataflow/journal/options.ts'
import { Room } from '../../../dataflow/journal/room.ts'
import { SpillFile } from '../../../dataflow/journal/spill-file.ts'
import type { KafkaProducer, OutgoingRecord, SendOptions, SendResult } from '../../../dataflow/kafka/client.ts'
import { silentLogger } from '../../../kit/log.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-spill-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const recordOf = (key: string, size = 10): OutgoingRecord => ({
  topic: 't',
  partition: 0,
  key,
  headers: [
    ['x-a', '1'],
    ['x-a', '2'],
  ],
  value: Buffer.alloc(size, key),
  timestampMs: 7,
})

describe('the spill file', () => {
  let number = 0
  const path = () => join(folder, String((number += 1)))

  it('gives back what it was given, in order, whatever the sizes', () => {
    const sizes = fc.array(fc.nat(300), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 500 }), (given, atOnce) => {
        const spill = new SpillFile(path(), 1_000_000)
        const records = given.map((size, index) => recordOf(`k${String(index)}`, size))
        for (const record of records) expect(spill.append(record)).toBe(true)
        const read: OutgoingRecord[] = []
        for (let batch = spill.next(atOnce); batch !== undefined; batch = spill.next(atOnce)) {
          read.push(...batch.records)
          spill.done(batch)
        }
        spill.close()
        expect(read).toEqual(records)
      }),
      { numRuns: 30 },
    )
  })

  it('is empty on disk when all was sent', () => {
    const at = path()
    const spill = new SpillFile(at, 10_000)
    spill.append(recordOf('a'))
    const batch = spill.next(1)
    if (batch) spill.done(batch)
    expect(statSync(at).size).toBe(0)
    expect(spill.bytes).toBe(0)
    spill.close()
  })

  it('refuses what does not fit, and keeps the rest', () => {
    const spill = new SpillFile(path(), 400)
    expect(spill.append(recordOf('a', 100))).toBe(true)
    expect(spill.append(recordOf('b', 300))).toBe(false)
    expect(spill.next(1_000)?.records.map(({ key }) => key)).toEqual(['a'])
    spill.close()
  })

  it('a killed process’ last record, cut off, is dropped, and the file goes on', () => {
    const at = path()
    const first = new SpillFile(at, 10_000)
    first.append(recordOf('whole'))
    first.close()
    appendFileSync(at, Buffer.from([200, 0, 0, 0, 100, 0, 0, 0, 1, 2, 3]))
    const next = new SpillFile(at, 10_000)
    const batch = next.next(100_000)
    expect(batch?.records.map(({ key }) => key)).toEqual(['whole'])
    if (batch) next.done(batch)
    expect(next.append(recordOf('later'))).toBe(true)
    expect(next.next(100_000)?.records.map(({ key }) => key)).toEqual(['later'])
    next.close()
  })
})

describe('room', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('has a bound, and lets wait in turn', async () => {
    const room = new Room(100, 1_000)
    expect(room.take(80)).toBe(true)
    expect(room.take(30)).toBe(false)
    const waiting = room.wait(30)
    expect(room.take(5)).toBe(false) // somebody waits before
    room.give(80)
    await expect(waiting).resolves.toBe(true)
    expect(room.used).toBe(30)
  })

  it('gives up after the deadline, and takes back nothing it did not give', async () => {
    const room = new Room(100, 1_000)
    room.take(100)
    const waiting = room.wait(10)
    await vi.advanceTimersByTimeAsync(1_000)
    await expect(waiting).resolves.toBe(false)
    room.give(100)
    expect(room.used).toBe(0)
  })

  it('lets only so much wait', async () => {
    const room = new Room(100, 1_000)
    room.take(100)
    void room.wait(60)
    await expect(room.wait(60)).resolves.toBe(false)
  })

  it('takes one that is larger than itself when it is empty', () => {
    const room = new Room(100, 1_000)
    expect(room.take(500)).toBe(true)
    expect(room.take(1)).toBe(false)
  })
})

describe('a lane', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  /** A producer that answers when it is told to. */
  function scene(batchBytes = 1_000) {
    const batches: { keys: string[]; options: SendOptions; answer: (kind?: 'acknowledged') => void }[] = []
    const producer: KafkaProducer = {
      send: (records, options) =>
        new Promise((resolve) => {
          const answer = (): void => {
            resolve(records.map((): SendResult => ({ kind: 'acknowledged' })))
          }
          batches.push({ keys: records.map(({ key }) => String(key)), options, answer })
        }),
      close: () => Promise.resolve(),
    }
    const settled: string[] = []
    const lane = new Lane(
      producer,
      { lingerMs: 5, batchBytes, batchRecords: 10, deliveryTimeoutMs: 1_000, compression: 'lz4' },
      (sent, results) => {
        settled.push(...sent.map((_, index) => String(results[index]?.kind)))
        return undefined
      },
    )
    const add = (key: string, urgent: boolean, bytes = 10): Pending => {
      const state = { alone: false, topicEnsured: false, attempts: 0 }
      const pending: Pending = { bytes, urgent, enqueuedAtMs: 0, encode: () => recordOf(key), ...state }
      lane.add(pending)
      return pending
    }
    const turn = () => vi.advanceTimersByTimeAsync(0)
    return { lane, batches, settled, add, turn }
  }

  it('sends at once what somebody waits for, with what came in the same moment', async () => {
    const { batches, add, turn } = scene()
    add('a', false)
    add('b', true)
    add('c', false)
    await turn()
    expect(batches.map(({ keys }) => keys)).toEqual([['a', 'b', 'c']])
  })

  it('lets what nobody waits for wait for company, but not long', async () => {
    const { batches, add } = scene()
    add('a', false)
    await vi.advanceTimersByTimeAsync(4)
    expect(batches).toHaveLength(0)
    add('b', false)
    await vi.advanceTimersByTimeAsync(1)
    expect(batches.map(({ keys }) => keys)).toEqual([['a', 'b']])
  })

  it('sends one batch at a time, and meanwhile gathers the next', async () => {
    const { batches, add, turn, settled } = scene()
    add('a', true)
    await turn()
    add('b', true)
    await turn()
    add('c', true)
    await turn()
    expect(batches.map(({ keys }) => keys)).toEqual([['a']])
    batches[0]?.answer()
    await turn()
    expect(batches.map(({ keys }) => keys)).toEqual([['a'], ['b', 'c']])
    expect(settled).toEqual(['acknowledged'])
  })

  it('keeps to the size of a batch', async () => {
    const { batches, add, turn } = scene(10_000)
    add('a', true, 6_000)
    add('b', true, 6_000)
    add('c', true, 10)
    await turn()
    batches[0]?.answer()
    await turn()
    expect(batches.map(({ keys }) => keys)).toEqual([['a'], ['b', 'c']])
  })

  it('sends alone what was refused in company', async () => {
    const { batches, add, lane, turn } = scene()
    lane.pause()
    for (const key of ['a', 'b', 'c']) add(key, true).alone = key === 'b'
    lane.resume()
    for (let index = 0; index < 3; index++) {
      await turn()
      batches[index]?.answer()
    }
    expect(batches.map(({ keys }) => keys)).toEqual([['a'], ['b'], ['c']])
  })

  it('what cannot be encoded is refused, and its neighbours go', async () => {
    const { batches, add, lane, turn, settled } = scene()
    lane.pause()
    add('a', true)
    const broken: Pending = {
      ...add('b', true),
      encode: () => {
        throw new Error('no form')
      },
    }
    lane.drain(({ encode }) => encode(false).key === 'b')
    lane.add(broken)
    lane.resume()
    await turn()
    expect(batches.map(({ keys }) => keys)).toEqual([['a']])
    batches[0]?.answer()
    await turn()
    expect(settled).toEqual(['acknowledged', 'refused'])
  })

  it('paused sends nothing, and gives up what it is asked for', async () => {
    const { batches, add, lane, turn } = scene()
    lane.pause()
    add('a', true)
    add('b', false)
    await turn()
    expect(batches).toHaveLength(0)
    expect(lane.drain(({ urgent }) => urgent)).toHaveLength(1)
    lane.resume()
    await vi.advanceTimersByTimeAsync(5)
    expect(batches.map(({ keys }) => keys)).toEqual([['b']])
  })
})

it('without Kafka in the options there is a journal that keeps nothing', () => {
  const config = { kafkaBootstrapServers: '', kafkaConfig: '' } as Parameters<typeof openJournal>[0]
  const deps = { clientId: 'x', registry: new Registry(), log: silentLogger }
  expect(openJournal(config, deps).status()).toEqual({ kind: 'none' })
  expect(() => openJournal({ ...config, kafkaBootstrapServers: 'nowhere' }, deps)).toThrow(/is not host:port/)
})
