import { describe, expect, it } from 'vitest'
import {
  type Connection,
  type ConnectionEvent,
  firstConnection,
  nextConnection,
  pauseMs,
  RECONNECT,
  type SessionEnd,
} from '../../../kit/scheduler-connection.ts'

const HOME = 'home:9005'
const run = (...events: ConnectionEvent[]): Connection =>
  events.reduce((connection, event) => nextConnection(connection, event, HOME), firstConnection(HOME))
const waited: ConnectionEvent = { kind: 'waited' }
const answered: ConnectionEvent = { kind: 'answered' }
const ended = (end: SessionEnd): ConnectionEvent => ({ kind: 'ended', end })
const unreachable = ended({ kind: 'unreachable', reason: 'refused' })
const redirected = ended({ kind: 'redirected', address: 'leader:9005' })
const lostAfter = (connectedMs: number) => ended({ kind: 'lost', reason: 'reset', connectedMs })

describe('the connection', () => {
  it.each<[string, ConnectionEvent[], Partial<Connection>]>([
    ['begins at once', [], { kind: 'Waiting', failures: 0 }],
    ['is made', [waited], { kind: 'Connecting', address: HOME }],
    ['stands when the scheduler answered', [waited, answered], { kind: 'Connected' }],
    ['is tried again, later each time', [waited, unreachable, waited, unreachable], { kind: 'Waiting', failures: 2 }],
    [
      'lost after a good time begins a new series',
      [waited, unreachable, waited, answered, lostAfter(5_000)],
      { failures: 1 },
    ],
    ['lost soon counts on', [waited, unreachable, waited, answered, lostAfter(4_999)], { failures: 2 }],
    [
      'out of step is tried again at the same place',
      [waited, answered, ended({ kind: 'outOfStep', reason: '' })],
      { failures: 1, address: HOME },
    ],
    [
      'follows a redirect without a pause',
      [waited, redirected],
      { kind: 'Waiting', address: 'leader:9005', failures: 0 },
    ],
    [
      'stays with the leader it was sent to',
      [waited, redirected, waited, answered, lostAfter(9_000)],
      { address: 'leader:9005' },
    ],
    ['goes home when the leader is away', [waited, redirected, waited, unreachable], { address: HOME, failures: 1 }],
    [
      'goes home with a pause when it is sent round in circles',
      [waited, redirected, waited, redirected, waited, redirected, waited, redirected],
      { address: HOME, failures: 1, redirects: 0 },
    ],
    ['once stopped stays stopped', [waited, { kind: 'stopped' }, unreachable, waited, answered], { kind: 'Stopped' }],
    ['ignores an answer while it waits', [answered], { kind: 'Waiting' }],
    ['ignores an end while it waits', [unreachable], { kind: 'Waiting', failures: 0 }],
  ])('%s', (_name, events, expected) => {
    expect(run(...events)).toMatchObject(expected)
  })

  it('pauses between 0.05 and 2 s, jittered, and not at all the first time', () => {
    expect(pauseMs(0)).toBe(0)
    expect(pauseMs(1, () => 0)).toBe(50)
    expect(pauseMs(1, () => 1)).toBe(100)
    expect(pauseMs(100, () => 1)).toBe(RECONNECT.maxMs)
    expect(pauseMs(100, () => 0)).toBe(1_000)
  })
})
