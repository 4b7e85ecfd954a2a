/** What an engine does with records of pipelines that another one takes from, on topics in memory. */
import { afterEach, describe, expect, it } from 'vitest'
import { ServingError } from '../../../../kit/errors.ts'
import { silentLogger } from '../../../../kit/log.ts'
import type { PipelineSpec } from '../../../../api/resources/pipeline.ts'
import type { Subscription } from '../../../../dataflow/consumer/types.ts'
import { createExternalInputs, type ExternalInputs } from '../../../../dataflow/engine/external-inputs.ts'
import type { JournalRecord } from '../../../../dataflow/journal/journal.ts'
import { createWaiters } from '../../../support/waiters.ts'
import { encodedResponse, headersOf, heldPlan, inputs, kafkaInMemory, SPACE } from './kafka-in-memory.ts'

const outputs = (pipeline: string): string => `seldon.default.pipeline.${pipeline}.outputs`
const STEPS: Pick<PipelineSpec, 'steps' | 'output'> = { steps: [{ name: 's' }], output: { steps: ['s'] } }

let running: ExternalInputs | undefined
afterEach(() => running?.end('p', 1_000))

function scene(input: NonNullable<PipelineSpec['input']>, maxKeys = 100) {
  const kafka = kafkaInMemory()
  const waiters = createWaiters()
  const counts: string[] = []
  const errors: string[] = []
  const refusals: ServingError[] = []
  const subscriptions = new Map<string, Subscription>()
  const left: string[] = []
  let held = heldPlan('p', { ...STEPS, input })
  const external = createExternalInputs({
    space: SPACE,
    journal: {
      ...kafka.journal,
      record: (record: JournalRecord) => {
        const refusal = refusals.shift()
        return refusal === undefined ? kafka.journal.record(record) : Promise.reject(refusal)
      },
    },
    shared: {
      subscribe: (subscription) => {
        subscriptions.set(subscription.topic, subscription)
        waiters.look()
        return Promise.resolve()
      },
      unsubscribe: (topic) => {
        subscriptions.delete(topic)
        left.push(topic)
        waiters.look()
        return Promise.resolve()
      },
    },
    reader: kafka.reader,
    plan: (name) => (name === 'p' ? held : undefined),
    limits: { maxKeys, maxBytes: 1_000_000 },
    writeError: (_, { key }, { message }) => {
      errors.push(`${key}: ${message}`)
      return Promise.resolve()
    },
    count: (_, outcome, records) => {
      counts.push(`${outcome} ${String(records)}`)
      waiters.look()
    },
    nowMs: kafka.nowMs,
    log: silentLogger,
  })
  running = external
  return {
    kafka,
    external,
    counts,
    errors,
    refusals,
    subscriptions,
    left,
    setSpec: (next: NonNullable<PipelineSpec['input']>) => {
      held = heldPlan('p', { ...STEPS, input: next }, 2)
      external.changed('p')
    },
    until: (what: string, predicate: () => boolean) => waiters.until(what, predicate, 5_000),
    /** Resolves when the record is done. */
    give: (topic: string, key: string, headers: Readonly<Record<string, string>> = {}, value = encodedResponse('x')) =>
      new Promise<void>((resolve) => {
        const record = kafka.put(topic, key, value, Object.entries(headers))
        subscriptions.get(topic)?.onRecord(record, resolve)
      }),
    written: () => kafka.recordsOf(inputs('p')),
  }
}

describe('what other pipelines give', () => {
  it('is put on the inputs under the same key, with what its user gave along, and is done then', async () => {
    const { external, give, written, counts } = scene({ externalInputs: ['q'] })
    await external.begin('p')
    const headers = { pipeline: 'q', 'x-pipeline-version': '7', 'x-request-id': 'r', 'x-a': 'b', 'x-millrace-key': 'k' }
    await give(outputs('q'), '0.q.r', headers)
    const [record] = written()
    expect([record?.key, headersOf(record)]).toEqual([
      '0.q.r',
      {
        pipeline: 'p',
        'x-pipeline-version': '1',
        'x-request-id': 'r',
        'x-a': 'b',
        'x-millrace-key': 'k',
        'x-millrace-fed-from': 'q',
      },
    ])
    expect(counts).toEqual(['joined 1'])
  })

  it('is not put there again by who reads next; what another engine wrote twice is marked', async () => {
    const { kafka, external, give, written, counts } = scene({ externalInputs: ['q'] })
    kafka.put(inputs('p'), '0.q.known', encodedResponse('x'), [['x-millrace-fed-from', 'q']])
    kafka.put(inputs('p'), '0.q.own', encodedResponse('x'))
    await external.begin('p')
    await give(outputs('q'), '0.q.known')
    await give(outputs('q'), '0.q.own', { 'x-millrace-replayed': '1' })
    expect(counts).toEqual(['duplicate 1', 'joined 1'])
    expect(headersOf(written()[2])).toMatchObject({ 'x-millrace-replayed': '1' })
  })

  it('is put there until Kafka has it, marked when it may be there twice; what is too large is told', async () => {
    const { external, give, written, refusals, errors } = scene({ externalInputs: ['q'] })
    await external.begin('p')
    refusals.push(new ServingError('KAFKA_UNAVAILABLE', 'away'))
    await give(outputs('q'), '0.q.r')
    expect(headersOf(written()[0])).toMatchObject({ 'x-millrace-replayed': '1' })
    refusals.push(new ServingError('REQUEST_TOO_LARGE', 'too large'))
    await give(outputs('q'), '0.q.large')
    expect([errors, written().length]).toEqual([['0.q.large: too large'], 1])
  })

  it('56: counts and does no more when it is an error, no message, or has no key', async () => {
    const { external, give, written, counts } = scene({ externalInputs: ['q'] })
    await external.begin('p')
    await give(outputs('q'), '0.q.r', { 'seldon-pipeline-errors': 's' }, Buffer.from('s : it failed'))
    await give(outputs('q'), '0.q.s', {}, Buffer.from([1, 2, 3]))
    await give(outputs('q'), '')
    expect([counts, written()]).toEqual([['failed 1', 'unreadable 1', 'unreadable 1'], []])
  })

  it('is given up with an error, the oldest first, when too much waits', async () => {
    const { external, give, errors, counts } = scene({ externalInputs: ['q', 'r'] }, 1)
    await external.begin('p')
    const first = give(outputs('q'), '0.q.1')
    void give(outputs('q'), '0.q.2')
    await first
    expect(errors).toEqual([expect.stringMatching(/^0\.q\.1: too much waits for what the other inputs give \(1 req/)])
    expect(counts).toEqual(['overflow 1'])
    expect([...external.open()]).toEqual([['p', 1]])
    expect(external.openBytes()).toBeGreaterThan(200)
  })

  it("joins what a program put on another's inputs with what came of it, under the key that this has", async () => {
    const { external, kafka, written, subscriptions } = scene({ externalInputs: ['q'], externalTriggers: ['q.inputs'] })
    await external.begin('p')
    const given = kafka.put(inputs('q'), 'order-17', Buffer.from('{"inputs":[{"name":"x","datatype":"UINT8","shape":[1],"data":[1]}]}')) // prettier-ignore
    subscriptions.get(inputs('q'))?.onRecord(given, () => undefined)
    const key = `0.q.${given.timestampMs.toString(36)}-0-0`
    await new Promise<void>((resolve) => {
      subscriptions.get(outputs('q'))?.onRecord(kafka.put(outputs('q'), key, encodedResponse('x')), resolve)
    })
    expect(written().map((record) => record.key)).toEqual([key])
  })

  it('is read for the version that serves, and by nobody after the end', async () => {
    const { external, setSpec, subscriptions, left, until, give, written } = scene({ externalInputs: ['q', 'r'] })
    await external.begin('p')
    await external.begin('nobody') // takes from none
    void give(outputs('q'), '0.q.waits')
    setSpec({ externalInputs: ['r', 's'] })
    await until('the topics', () => [...subscriptions.keys()].join() === [outputs('r'), outputs('s')].join())
    expect(left).toEqual([outputs('q')])
    const late = subscriptions.get(outputs('r'))
    await external.end('p', 1_000)
    expect([subscriptions.size, external.open().size]).toEqual([0, 0])
    late?.onRecord(written()[0] ?? ({} as never), () => undefined)
    expect(written()).toEqual([])
  })
})
