import { describe, expect, it } from 'vitest'
import type { Resource } from '../../../xds/cache/resource.ts'
import {
  createSubscription,
  type DeltaRequest,
  oldestOwed,
  owe,
  receive,
  send,
  wants,
} from '../../../xds/server/delta-subscription.ts'

const resource = (name: string, version = '1'): Resource => ({ name, version, revision: 1, bytes: new Uint8Array() })
const request = (parts: Partial<DeltaRequest> = {}): DeltaRequest => ({
  subscribe: [],
  unsubscribe: [],
  initialVersions: {},
  nonce: '',
  refusal: undefined,
  ...parts,
})

describe('a delta subscription', () => {
  it('a first request without names asks for everything, one with names for those', () => {
    const all = createSubscription([])
    receive(all, request(), 1)
    expect(wants(all, 'anything')).toBe(true)
    const some = createSubscription([])
    receive(some, request({ subscribe: ['a'] }), 1)
    expect([wants(some, 'a'), wants(some, 'b')]).toEqual([true, false])
    receive(some, request({ unsubscribe: ['a'] }), 1)
    expect(wants(some, 'a')).toBe(false)
  })

  it('what is sent stays owed since its revision until the ACK of that nonce', () => {
    const subscription = createSubscription([])
    receive(subscription, request(), 1)
    owe(subscription, 'a', 5)
    send(subscription, '1', new Map([['a', resource('a')]]), 7)
    expect(oldestOwed(subscription)).toBe(5)
    expect(receive(subscription, request({ nonce: 'other' }), 7).kind).toBe('none')
    expect(oldestOwed(subscription)).toBe(5)
    expect(receive(subscription, request({ nonce: '1' }), 7).kind).toBe('accepted')
    expect(oldestOwed(subscription)).toBeUndefined()
    expect(subscription.known.get('a')?.revision).toBe(7)
  })

  it('a change while a response is outstanding is owed by itself', () => {
    const subscription = createSubscription([])
    receive(subscription, request(), 1)
    owe(subscription, 'a', 5)
    send(subscription, '1', new Map([['a', resource('a')]]), 5)
    owe(subscription, 'a', 8)
    receive(subscription, request({ nonce: '1' }), 8)
    expect(oldestOwed(subscription)).toBe(8)
  })

  it('an ACK of what was unsubscribed from meanwhile does not count as having it: asked for again, it is owed again', () => {
    const subscription = createSubscription([])
    receive(subscription, request({ subscribe: ['a'] }), 1)
    send(subscription, '1', new Map([['a', resource('a')]]), 1)
    receive(subscription, request({ unsubscribe: ['a'] }), 1)
    receive(subscription, request({ nonce: '1' }), 1)
    receive(subscription, request({ subscribe: ['a'] }), 1)
    expect(subscription.asked.has('a')).toBe(true)
    expect(oldestOwed(subscription)).toBe(1)
  })

  it('a refusal leaves what the node had', () => {
    const subscription = createSubscription([])
    owe(subscription, 'a', 1)
    send(subscription, '1', new Map([['a', resource('a', 'good')]]), 1)
    receive(subscription, request({ nonce: '1' }), 1)
    owe(subscription, 'a', 2)
    send(subscription, '2', new Map([['a', resource('a', 'bad')]]), 2)
    const verdict = receive(subscription, request({ nonce: '2', refusal: 'no' }), 2)
    expect(verdict).toMatchObject({ kind: 'refused', reason: 'no' })
    expect(subscription.known.get('a')?.version).toBe('good')
  })

  it('nothing counts on a resource from the moment its removal is sent', () => {
    const subscription = createSubscription([])
    owe(subscription, 'a', 1)
    send(subscription, '1', new Map([['a', resource('a')]]), 1)
    receive(subscription, request({ nonce: '1' }), 1)
    send(subscription, '2', new Map([['a', undefined]]), 2)
    expect(subscription.known.has('a')).toBe(false)
  })

  it('a name that is asked for again is sent again, without setting the node back to the beginning', () => {
    const subscription = createSubscription([])
    receive(subscription, request({ subscribe: ['a'] }), 3)
    send(subscription, '1', new Map([['a', resource('a')]]), 3)
    receive(subscription, request({ nonce: '1' }), 3)
    receive(subscription, request({ subscribe: ['a'] }), 9)
    expect(subscription.asked.has('a')).toBe(true)
    expect(oldestOwed(subscription)).toBe(9)
  })
})
