import { expect, test } from 'vitest'
import { createGatewaysAlive, GRACE_MS } from '../../../../dataflow/engine/gateways-alive.ts'

function scene() {
  let ms = 1_000
  let connected = true
  return {
    alive: createGatewaysAlive(
      () => ms,
      () => connected,
    ),
    connect: (now: boolean) => {
      connected = now
    },
    pass: (more: number) => {
      ms += more
    },
  }
}

test('before a scheduler says who lives, nothing is known', () => {
  const { alive, pass } = scene()
  expect(alive.isKnown()).toBe(false)
  expect(alive.isAlive('a/1')).toBeUndefined()
  pass(2 * GRACE_MS)
  expect(alive.isAlive('a/1')).toBeUndefined()
})

test('who is not named is gone after a grace, unless named meanwhile', () => {
  const { alive, pass } = scene()
  alive.told(['a/1'])
  expect(alive.isAlive('a/1')).toBe(true)
  expect(alive.isAlive('b/1')).toBeUndefined()
  expect(alive.isAlive('c/1')).toBeUndefined()
  pass(GRACE_MS - 1)
  alive.told(['a/1', 'c/1'])
  expect(alive.isAlive('b/1')).toBeUndefined()
  pass(1)
  expect(alive.isAlive('b/1')).toBe(false)
  expect(alive.isAlive('c/1')).toBe(true)
})

test('another epoch of the same gateway is another one', () => {
  const { alive, pass } = scene()
  alive.told(['a/2'])
  expect(alive.isAlive('a/1')).toBeUndefined()
  pass(GRACE_MS)
  expect(alive.isAlive('a/1')).toBe(false)
})

test('without a scheduler nobody is gone, and with the next one the grace begins anew', () => {
  const { alive, pass, connect } = scene()
  alive.told([])
  alive.isAlive('a/1')
  pass(GRACE_MS)
  connect(false)
  expect([alive.isKnown(), alive.isAlive('a/1')]).toEqual([false, undefined])
  alive.forget()
  connect(true)
  alive.told([])
  expect(alive.isAlive('a/1')).toBeUndefined()
})

test('what was sure is so until the scheduler went, however long it was away', () => {
  const { alive, pass, connect } = scene()
  alive.told(['a/1'])
  pass(500)
  alive.tick()
  connect(false)
  pass(60_000)
  alive.tick()
  alive.forget()
  connect(true)
  alive.tick()
  alive.told([])
  expect(alive.sureUntilMs()).toBe(1_500)
})
