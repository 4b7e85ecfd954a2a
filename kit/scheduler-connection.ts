/** The connection to the scheduler as a state machine. Pure: how one connection ended decides where and when the next begins. */
import { type Backoff, backoffMs } from './backoff.ts'

/** How one connection ended. */
export type SessionEnd =
  /** It had answered, then it was gone. */
  | { readonly kind: 'lost'; readonly reason: string; readonly connectedMs: number }
  /** It never answered. */
  | { readonly kind: 'unreachable'; readonly reason: string }
  /** Another scheduler is the leader. */
  | { readonly kind: 'redirected'; readonly address: string }
  /** It sent a difference to something we do not have: ask for everything. */
  | { readonly kind: 'outOfStep'; readonly reason: string }

export type Connection =
  | { readonly kind: 'Waiting'; readonly address: string; readonly failures: number; readonly redirects: number }
  | { readonly kind: 'Connecting'; readonly address: string; readonly failures: number; readonly redirects: number }
  | { readonly kind: 'Connected'; readonly address: string; readonly failures: number; readonly redirects: number }
  | { readonly kind: 'Stopped' }

export type ConnectionEvent =
  | { readonly kind: 'waited' }
  | { readonly kind: 'answered' }
  | { readonly kind: 'ended'; readonly end: SessionEnd }
  | { readonly kind: 'stopped' }

export const RECONNECT: Backoff = { minMs: 100, maxMs: 2_000 }
/** A connection that held this long was a good one: its loss begins a new series of tries. */
const GOOD_AFTER_MS = 5_000
/** Schedulers that send us round in circles are treated like one that cannot be reached. */
const MAX_REDIRECTS = 3

export const firstConnection = (home: string): Connection => ({
  kind: 'Waiting',
  address: home,
  failures: 0,
  redirects: 0,
})

/** `home` is the configured address: where to go when the one we were sent to fails. */
export function nextConnection(connection: Connection, event: ConnectionEvent, home: string): Connection {
  if (connection.kind === 'Stopped' || event.kind === 'stopped') return { kind: 'Stopped' }
  switch (event.kind) {
    case 'waited':
      return connection.kind === 'Waiting' ? { ...connection, kind: 'Connecting' } : connection
    case 'answered':
      return connection.kind === 'Connecting' ? { ...connection, kind: 'Connected', redirects: 0 } : connection
    case 'ended':
      return connection.kind === 'Waiting' ? connection : afterEnd(connection, event.end, home)
  }
}

function afterEnd(connection: Exclude<Connection, { kind: 'Stopped' }>, end: SessionEnd, home: string): Connection {
  const tryAgain = (address: string, failures: number): Connection => ({
    kind: 'Waiting',
    address,
    failures,
    redirects: 0,
  })
  switch (end.kind) {
    case 'lost':
      return tryAgain(connection.address, end.connectedMs >= GOOD_AFTER_MS ? 1 : connection.failures + 1)
    case 'unreachable':
      return tryAgain(home, connection.failures + 1)
    case 'outOfStep':
      return tryAgain(connection.address, connection.failures + 1)
    case 'redirected':
      return connection.redirects < MAX_REDIRECTS
        ? { kind: 'Waiting', address: end.address, failures: 0, redirects: connection.redirects + 1 }
        : tryAgain(home, connection.failures + 1)
  }
}

/** The pause before a connection: none for the first try and after a redirect, then jittered, growing to 2 s, for ever. */
export const pauseMs = (failures: number, random?: () => number): number =>
  failures === 0 ? 0 : backoffMs(failures - 1, RECONNECT, random)
