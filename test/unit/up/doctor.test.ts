import { describe, expect, it } from 'vitest'
import type { StoredServer } from '../../../api/resources/status.ts'
import { toTable } from '../../../cli/output/table.ts'
import { findingColumns, ok, skipped, verdictOf, warning, wrong } from '../../../up/doctor/finding.ts'
import { checkNode } from '../../../up/doctor/machine.ts'
import {
  agentFindings,
  envoyFinding,
  readerFinding,
  type ReaderSays,
  gatewayFinding,
  redisFindings,
  schedulerFindings,
  type SchedulerSays,
} from '../../../up/doctor/running.ts'
import { captureTerminal } from '../../support/capture-terminal.ts'

const NOW_MS = 1_000_000
const READY: SchedulerSays = {
  status: 'ready',
  role: 'leading',
  revision: 7,
  awaited: [],
  nodes: [{ node: 'envoy-0', ackedRevision: 7, silent: false }],
}
const scheduler = (says: Partial<SchedulerSays>, clockMs = NOW_MS) =>
  schedulerFindings({ says: { ...READY, ...says }, clockMs, ourClockMs: NOW_MS })

it('findings are a line each, with the fix', () => {
  const lines = toTable(findingColumns(captureTerminal()), [
    ok('node', 'Node v22'),
    wrong('python', 'none', 'install it'),
  ])
  expect(lines.slice(1)).toEqual(['ok      node     Node v22', 'wrong   python   none; install it'])
})

it('the verdict counts what is wrong and what is doubtful, and nothing else', () => {
  expect(verdictOf([ok('a', ''), skipped('b', '')])).toBe('nothing is wrong')
  expect(verdictOf([wrong('a', '', ''), warning('b', '', ''), warning('c', '', '')])).toBe('1 wrong, 2 to look at')
})

it.each([
  ['v20.19.0', 'ok'],
  ['v22.1.0', 'ok'],
  ['v20.18.9', 'wrong'],
  ['v18.20.0', 'wrong'],
])('Node %s is %s', (version, state) => {
  expect(checkNode(version).state).toBe(state)
})

it.each([
  [
    { ready: true, connected: true, pipelines: 2, journal: { kind: 'none' } },
    'ok',
    '2 pipeline versions, records nothing',
  ],
  [{ ready: true, connected: false }, 'warning', 'it has lost the scheduler and serves what it last had'],
  [{ ready: true, connected: true, journal: { kind: 'kafka', available: false } }, 'wrong', 'it cannot reach Kafka'],
])('a pipeline gateway that says %j is %s', (says, state, found) => {
  expect(gatewayFinding(says)).toMatchObject({ check: 'pipeline gateway', state, found })
})

const reading: ReaderSays = { ready: true, connected: true, reading: 1, journal: { available: true } }
it.each<[string, ReaderSays, string, string]>([
  ['reads', reading, 'ok', 'reads 1 pipeline'],
  ['stops', { ...reading, ready: false }, 'warning', 'it is stopping'],
  ['is alone', { ...reading, connected: false }, 'warning', 'it has lost the scheduler and reads what it last had'],
  ['has no Kafka', { ...reading, journal: {} }, 'wrong', 'it cannot reach Kafka'],
])('an engine that %s is told', (_, says, state, found) => {
  expect(readerFinding('engine', says)).toMatchObject({ check: 'engine', state, found })
})

describe('a running scheduler', () => {
  it('that leads, with an Envoy that has everything, is well', () => {
    expect(scheduler({}).map(({ state }) => state)).toEqual(['ok', 'ok', 'ok'])
  })

  it.each([
    ['not ready', { status: 'waiting for Redis' }, 'scheduler', 'wrong'],
    ['waiting for servers', { awaited: ['embedded'] }, 'scheduler', 'warning'],
    ['without an Envoy', { nodes: [] }, 'envoy config', 'wrong'],
    ['with a silent Envoy', { nodes: [{ node: 'envoy-0', ackedRevision: 7, silent: true }] }, 'envoy config', 'wrong'],
    [
      'with a held Envoy',
      { nodes: [{ node: 'envoy-0', ackedRevision: 7, silent: false, heldBecause: 'too much' }] },
      'envoy config',
      'wrong',
    ],
    [
      'with an Envoy behind',
      { nodes: [{ node: 'envoy-0', ackedRevision: 6, silent: false }] },
      'envoy config',
      'warning',
    ],
  ])('%s is told', (_name, says, check, state) => {
    const finding = scheduler(says).find((candidate) => candidate.check === check)
    expect(finding?.state).toBe(state)
    expect(finding?.fix).not.toBe('')
  })

  it('that follows needs no Envoy of its own', () => {
    expect(scheduler({ role: 'following', leader: 'other:9004', nodes: [] }).map(({ state }) => state)).toEqual([
      'ok',
      'ok',
    ])
  })

  it('with another clock is told', () => {
    expect(scheduler({}, NOW_MS - 60_000).find(({ check }) => check === 'clock')).toMatchObject({
      state: 'warning',
      found: "60 s apart from the scheduler's",
    })
    expect(scheduler({}, NOW_MS - 999).find(({ check }) => check === 'clock')?.state).toBe('ok')
  })
})

it.each([
  [{ policy: 'noeviction', appendOnly: 'yes', lastWriteOk: true }, ['ok', 'ok']],
  [{ policy: 'allkeys-lru', appendOnly: 'yes', lastWriteOk: true }, ['wrong', 'ok']],
  [{ policy: 'noeviction', appendOnly: 'no', lastWriteOk: true }, ['ok', 'warning']],
  [{ policy: undefined, appendOnly: undefined, lastWriteOk: true }, ['warning', 'ok']],
  [{ policy: 'noeviction', appendOnly: 'yes', lastWriteOk: false }, ['ok', 'wrong']],
])('a Redis with %j is %j', (settings, states) => {
  expect(redisFindings(settings).map(({ state }) => state)).toEqual(states)
})

describe('agents', () => {
  const server = (agent: string, health: string): StoredServer => ({
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Server',
    metadata: { name: 'embedded' },
    spec: { replicas: 1 },
    status: {
      replicas: 1,
      replicaStatuses: [
        {
          replica: 'embedded/0',
          address: '127.0.0.1',
          restPort: 1,
          grpcPort: 2,
          agent,
          health,
          draining: false,
          memoryBytes: 1,
          availableMemoryBytes: 1,
          capabilities: [],
          loadedModels: 0,
        },
      ],
    },
  })
  const findingOf = async (servers: readonly StoredServer[]) =>
    (await agentFindings({ list: () => Promise.resolve(servers) }))[0]

  it('that are connected beside serving servers are well', async () => {
    expect(await findingOf([server('connected', 'serving')])).toEqual({
      check: 'agents of embedded',
      state: 'ok',
      found: '1 of 1 replicas connected and serving',
    })
  })

  it.each([
    ['a lost agent', [server('lost', 'serving')], "embedded/0's agent is lost"],
    ['a server that is down', [server('connected', 'down')], 'embedded/0 is down'],
    ['no server at all', [], 'no server is known'],
  ])('%s is wrong', async (_name, servers, found) => {
    const finding = await findingOf(servers)
    expect(finding?.state).toBe('wrong')
    expect(finding?.found).toContain(found)
  })

  it('of a scheduler that does not answer: what it said', async () => {
    const failing = { list: () => Promise.reject(new Error('no answer')) }
    expect((await agentFindings(failing))[0]).toMatchObject({ state: 'wrong', found: 'no answer' })
  })
})

it("Envoy's own reason is what is found", () => {
  expect(envoyFinding({ ready: true, reason: '' }).state).toBe('ok')
  expect(envoyFinding({ ready: false, reason: 'Envoy has no routes yet' })).toMatchObject({
    state: 'wrong',
    found: 'Envoy has no routes yet',
  })
})
