/** What an engine finds on the topics: results that are there, answers of steps, requests whose gateway died. */
import { expect, test } from 'vitest'
import type { PipelineSpec } from '../../../../api/resources/pipeline.ts'
import type { Begun } from '../../../../dataflow/engine/asynchronous.ts'
import { writeError } from '../../../../dataflow/engine/error-record.ts'
import { createGatewaysAlive, GRACE_MS } from '../../../../dataflow/engine/gateways-alive.ts'
import { createOrphans } from '../../../../dataflow/engine/orphans.ts'
import { createScope } from '../../../../dataflow/engine/scope.ts'
import { lookAtUnread } from '../../../../dataflow/engine/unread.ts'
import type { HeldPlan } from '../../../../dataflow/control/held-plans.ts'
import { toPipelineFailure } from '../../../../dataflow/runner/pipeline-request.ts'
import { silentLogger } from '../../../../kit/log.ts'
import { createWaiters } from '../../../support/waiters.ts'
import {
  encoded,
  encodedResponse,
  headersOf,
  heldPlan,
  inputs,
  kafkaInMemory,
  requestOf,
  SPACE,
} from './kafka-in-memory.ts'

const CHAIN: PipelineSpec = {
  steps: [{ name: 'a' }, { name: 'b', inputs: ['a'] }],
  output: { steps: ['b'] },
  timeoutMs: 1_000,
}
const IN = encoded(requestOf('IN'))
const OWN = [
  ['pipeline', 'p'],
  ['x-pipeline-version', '1'],
] as const
const OUTPUTS = 'seldon.default.pipeline.p.outputs'

test('of what is unread, that which has its result is told once for each result, and what steps answered is known', async () => {
  const kafka = kafkaInMemory()
  for (const key of ['0.p.done', '0.p.begun', '0.p.new']) kafka.put(inputs('p'), key, IN)
  kafka.put('seldon.default.model.a.outputs', '0.p.begun', encodedResponse('X'), OWN)
  kafka.put('seldon.default.model.a.outputs', '0.p.begun', encodedResponse('X'), [['pipeline', 'other']])
  kafka.put('seldon.default.model.a.outputs', '0.p.new', Buffer.from('a : failed'), [
    ...OWN,
    ['seldon-pipeline-errors', 'a'],
  ])
  kafka.put(OUTPUTS, '0.p.done', IN, OWN)
  const { journaled, lastReadMs } = await lookAtUnread(kafka.reader, SPACE, heldPlan('p', CHAIN), 'g', 2)
  expect(lastReadMs).toBeUndefined()
  expect([journaled.takeTerminal('0.p.done'), journaled.takeTerminal('0.p.done')]).toEqual([true, false])
  expect(journaled.takeTerminal('0.p.begun')).toBe(false)
  expect([...(journaled.begun('0.p.begun')?.answers.keys() ?? [])]).toEqual(['a'])
  expect(journaled.begun('0.p.new')).toBeUndefined()
})

test('what is committed is not looked at again, but tells when it was read', async () => {
  const kafka = kafkaInMemory()
  const { timestampMs } = kafka.put(inputs('p'), '0.p.done', IN)
  kafka.put(OUTPUTS, '0.p.done', IN, OWN)
  kafka.commits.set(inputs('p'), 1n)
  const { journaled, lastReadMs } = await lookAtUnread(kafka.reader, SPACE, heldPlan('p', CHAIN), 'g', 2)
  expect(journaled.takeTerminal('0.p.done')).toBe(false)
  expect(lastReadMs).toBe(timestampMs)
})

test('of what has no result, as much as somebody may have had in flight may have been begun; nothing after a hand-over', async () => {
  const kafka = kafkaInMemory()
  const records = ['0.p.committed', '0.p.a', '0.p.b', '0.p.c'].map((key) => kafka.put(inputs('p'), key, IN))
  kafka.commits.set(inputs('p'), 1n)
  const looked = (maxInFlight: number) => lookAtUnread(kafka.reader, SPACE, heldPlan('p', CHAIN), 'g', maxInFlight)
  const [killed, handedOver] = [await looked(2), await looked(0)]
  const later = kafka.put(inputs('p'), '0.p.later', IN)
  expect(records.slice(1).map(killed.mayHaveBegun)).toEqual([true, true, false])
  expect(records.slice(1).map(handedOver.mayHaveBegun)).toEqual([false, false, false])
  expect((await looked(9)).mayHaveBegun(later)).toBe(true)
  expect((await looked(9)).mayHaveBegun({ ...later, offset: 9n })).toBe(false)
  kafka.commits.clear() // nobody has read it
  expect((await looked(9)).mayHaveBegun(later)).toBe(false)
})

/** Orphans of pipeline p, on topics in memory; `pass` lets time go by until the grace is over. */
function scene(spec: PipelineSpec) {
  const kafka = kafkaInMemory()
  const waiters = createWaiters()
  const stopping = new AbortController()
  const scope = createScope(stopping.signal)
  const held = heldPlan('p', spec)
  const rerun: { key: string; begun: Begun | undefined }[] = []
  let lateMs = 0
  const alive = createGatewaysAlive(
    () => kafka.nowMs() + lateMs,
    () => true,
  )
  const orphans = createOrphans({
    reader: kafka.reader,
    space: SPACE,
    partitions: 1,
    alive,
    run: (_: HeldPlan, { key }, __, begun) => {
      rerun.push({ key, begun })
      kafka.put(OUTPUTS, key, IN, OWN)
      waiters.look()
      return Promise.resolve(true)
    },
    writeError: async (one, identity, error) => {
      await writeError(kafka.journal, one, identity, toPipelineFailure('p', error))
      waiters.look()
    },
    plan: () => held,
    onLost: () => undefined,
    signal: stopping.signal,
    log: silentLogger,
  })
  const ask = (id: string, gateway: string) =>
    kafka.put(inputs('p'), `0.p.${id}`, IN, [['x-millrace-gateway', gateway]])
  const pass = (): void => {
    lateMs += GRACE_MS
  }
  return { ...kafka, scope, ask, alive, orphans, rerun, pass, until: waiters.until, stop: () => stopping.abort() }
}

test('a request whose gateway died is told as lost; those that have their end, or whose gateway lives, are left', async () => {
  const { ask, put, alive, orphans, scope, recordsOf, pass, until, stop } = scene(CHAIN)
  ask('ended', 'a/1')
  put(OUTPUTS, '0.p.ended', IN, OWN)
  ask('lost', 'a/1')
  ask('living', 'b/1')
  put(inputs('p'), '0.p.asynchronous', IN)
  alive.told(['b/1'])
  alive.isAlive('a/1')
  pass()
  orphans.begin('p', 0, scope)
  await until('the error', () => recordsOf(OUTPUTS).length === 2)
  const error = recordsOf(OUTPUTS)[1]
  expect(error?.key).toBe('0.p.lost')
  expect(error?.value.toString()).toContain('pipeline gateway a/1 is gone')
  expect(headersOf(error)).toMatchObject({ 'seldon-pipeline-errors': 'p', 'x-request-id': 'lost' })
  expect(recordsOf('seldon.default.errors.errors')).toHaveLength(1)
  stop()
})

test('with recovery rerun it is run again instead, with what its steps answered', async () => {
  const { ask, put, alive, orphans, scope, rerun, pass, until, stop } = scene({
    ...CHAIN,
    dataflow: { recovery: 'rerun' },
  })
  alive.told([])
  alive.isAlive('a/1')
  pass()
  orphans.begin('p', 0, scope)
  const record = ask('lost', 'a/1')
  put('seldon.default.model.a.outputs', '0.p.lost', encodedResponse('X'), OWN)
  orphans.saw('p', record)
  await until('the run', () => rerun.length === 1)
  expect(rerun[0]?.key).toBe('0.p.lost')
  expect([...(rerun[0]?.begun?.answers.keys() ?? [])]).toEqual(['a'])
  stop()
})

test('before it is known who lives nothing is done; then what was seen before is, once', async () => {
  const { ask, alive, orphans, scope, recordsOf, pass, until, stop } = scene(CHAIN)
  orphans.begin('p', 0, scope)
  orphans.saw('p', ask('lost', 'a/1'))
  alive.told([])
  alive.isAlive('a/1')
  pass()
  orphans.look()
  await until('the error', () => recordsOf(OUTPUTS).length === 1)
  orphans.look()
  orphans.look()
  await new Promise((resolve) => setImmediate(resolve))
  expect(recordsOf(OUTPUTS)).toHaveLength(1)
  stop()
})
