/** The operator against a scheduler that says what the test wants, and breaks its watches. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Resource } from '../../../../api/resources/resource.ts'
import type { StoredResource } from '../../../../api/resources/status.ts'
import type { AdminClient, WatchEvent } from '../../../../cli/client/admin-client.ts'
import { ServingError } from '../../../../kit/errors.ts'
import type { ServerKind } from '../../../../up/servers/kinds.ts'
import { createOperator, type Operator } from '../../../../up/servers/operator.ts'
import { until } from '../../../support/models.ts'

const server = (name: string, replicas?: number): StoredResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Server',
  metadata: { name },
  spec: replicas === undefined ? {} : { replicas },
})
const state = (name: string, replicas?: number): WatchEvent => ({ kind: 'state', resource: server(name, replicas) })

let stored: StoredResource[] = []
/** What each watch in turn says before it breaks; the last one stays open. */
let watches: WatchEvent[][] = []
let watched = 0
const applied: Resource[] = []
const told: string[] = []
const calls: string[] = []
let operator: Operator

beforeEach(() => {
  stored = []
  watches = []
  watched = 0
  for (const list of [applied, told, calls]) list.length = 0
  operator = operatorOf(false)
})

function operatorOf(isAskedNow: boolean): Operator {
  const desired = new Map<ServerKind, number>()
  return createOperator({
    admin: {
      list: () => Promise.resolve(stored),
      apply: (resource) => {
        applied.push(resource)
        stored = [...stored.filter((one) => one.metadata.name !== resource.metadata.name), resource as StoredResource]
        return Promise.resolve({ outcome: 'created', resource: resource as StoredResource, warnings: [] })
      },
      watch,
    },
    fleet: {
      want: (name, count) => {
        desired.set(name, count)
        calls.push(`${name}=${String(count)}`)
      },
      wanted: (name) => desired.get(name) ?? 0,
      startWanted: () => Promise.resolve(calls.push('start')).then(() => undefined),
      keep: () => calls.push('keep'),
      stop: () => Promise.resolve(calls.push('stop')).then(() => undefined),
    },
    asked: new Map<ServerKind, number>([['embedded', 2]]),
    isAskedNow,
    tell: (line) => told.push(line),
  })
}

afterEach(() => operator.stop())

async function* watch(...[, , signal]: Parameters<AdminClient['watch']>): AsyncIterable<WatchEvent> {
  const events = watches[watched]
  watched += 1
  for (const event of events ?? []) yield event
  if (watched < watches.length) throw new ServingError('SCHEDULER_UNAVAILABLE', 'it went away')
  await new Promise((done) => {
    signal.addEventListener('abort', done, { once: true })
  })
}

test('a first start declares the servers of --servers, and starts them', async () => {
  await operator.start()
  expect(applied).toMatchObject([{ kind: 'Server', metadata: { name: 'embedded' }, spec: { replicas: 2 } }])
  expect(calls).toEqual(['embedded=2', 'start'])
  expect(told).toEqual([])
})

test('without --servers what was applied runs again', async () => {
  stored = [server('embedded', 3), server('mlserver', 1)]
  await operator.start()
  expect(applied).toEqual([])
  expect(calls).toEqual(['embedded=3', 'mlserver=1', 'start'])
  expect(told).toEqual([])
})

test('--servers changes what was applied before and nothing else of it, and says so', async () => {
  const named = { ...server('embedded', 3), metadata: { name: 'embedded', generation: 4, labels: { team: 'a' } } }
  stored = [named as StoredResource, server('mlserver', 1)]
  operator = operatorOf(true)
  await operator.start()
  expect(applied).toEqual([{ ...server('embedded', 2), metadata: { name: 'embedded', labels: { team: 'a' } } }])
  expect(calls.toSorted()).toEqual(['embedded=2', 'mlserver=1', 'start'])
  expect(told).toEqual(['server embedded gets 2 replicas, as --servers says; 3 were applied before'])
})

test('changes are followed, also when the watch breaks and is taken up again', async () => {
  watches = [[state('embedded', 2), state('embedded', 3)], [], [state('embedded', 1)]]
  operator.follow()
  await until('the last change', () => calls.includes('embedded=1'), 5_000)
  expect(calls).toEqual(['keep', 'embedded=2', 'embedded=3', 'embedded=1'])
})

test('a deleted server stops nothing, and one that up does not run is told once', async () => {
  watches = [[state('embedded', 2), state('embedded'), state('triton', 1), state('triton', 2), state('mlserver', 1)]]
  operator.follow()
  await until('the last change', () => calls.includes('mlserver=1'), 5_000)
  expect(calls).toEqual(['keep', 'embedded=2', 'mlserver=1'])
  expect(told).toEqual([
    'server embedded was deleted: its replicas run on; to stop them apply it with replicas: 0',
    expect.stringContaining('server triton: millrace up runs embedded and mlserver only'),
  ])
})
