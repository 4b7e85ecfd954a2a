/** What a fake agent and a fake gateway have in common: a stream to a scheduler, opened again when it breaks, and its messages. */
import { type ClientDuplexStream, credentials } from '@grpc/grpc-js'
import { GRPC_OPTIONS } from '../../api/grpc.ts'
import { createWaiters } from './waiters.ts'

export interface FakePeerDeps<Up, Down> {
  /** False: when the stream ends it stays away, as one that is stuck. */
  readonly reconnects: boolean
  readonly client: { close(): void }
  readonly open: () => ClientDuplexStream<Up, Down>
  readonly hello: () => Up
  readonly onMessage: (message: Down) => void
}

export interface FakePeer<Up, Down> {
  /** Every message of the scheduler, in order. */
  readonly received: readonly Down[]
  /** Whether the scheduler has answered on the stream that is there. */
  readonly connected: () => boolean
  connect(): void
  /** The stream breaks; what it has stays. */
  disconnect(): void
  send(message: Up): void
  /** Why its first stream ended. */
  ended(): Promise<string>
  /** Waits until this holds; asked after every message of the scheduler. */
  until(wanted: () => boolean): Promise<void>
  close(): void
}

const RECONNECT_MS = 50
const WAIT_MS = 60_000

/** What the client of a fake peer is made with. */
export const fakePeerClient = (schedulerPort: number) =>
  [
    `127.0.0.1:${String(schedulerPort)}`,
    credentials.createInsecure(),
    {
      ...GRPC_OPTIONS,
      'grpc.use_local_subchannel_pool': 1, // a connection of its own, as a process has
      'grpc.initial_reconnect_backoff_ms': RECONNECT_MS,
      'grpc.max_reconnect_backoff_ms': 200,
    },
  ] as const

export function createFakePeer<Up, Down>(deps: FakePeerDeps<Up, Down>): FakePeer<Up, Down> {
  const received: Down[] = []
  const waiters = createWaiters()
  let end = (_reason: string): void => undefined
  const ended = new Promise<string>((resolve) => {
    end = resolve
  })
  let stream: ClientDuplexStream<Up, Down> | undefined
  let wanted = false
  let open = false

  function connect(): void {
    wanted = true
    const mine = deps.open()
    stream = mine
    mine.on('data', (message: Down) => {
      open = true
      received.push(message)
      deps.onMessage(message)
      waiters.look()
    })
    mine.on('error', () => undefined)
    mine.on('status', ({ details }) => {
      end(details)
      if (stream !== mine) return
      open = false
      if (!deps.reconnects) wanted = false
      if (wanted) setTimeout(() => wanted && stream === mine && connect(), RECONNECT_MS)
    })
    mine.write(deps.hello())
  }

  const disconnect = (): void => {
    wanted = false
    stream?.cancel()
  }
  return {
    received,
    connected: () => open,
    connect,
    disconnect,
    send: (message) => {
      stream?.write(message)
    },
    ended: () => ended,
    until: (matches) =>
      waiters.until(() => `the scheduler to send it; it sent ${JSON.stringify(received)}`, matches, WAIT_MS),
    close: () => {
      disconnect()
      deps.client.close()
    },
  }
}
