/** One stream to one scheduler, from its first message to its end. What is said on it is its user's. */
import type { ChannelOptions, ClientDuplexStream, ServiceError } from '@grpc/grpc-js'
import { toGrpcReason } from './grpc-reason.ts'
import type { SessionEnd } from './scheduler-connection.ts'

/** What every scheduler says, whatever else it says. */
export interface FromScheduler {
  readonly redirect?: { readonly address: string } | null
  readonly drained?: { readonly reason: string } | null
}

type SchedulerCall<Up, Down extends FromScheduler> = ClientDuplexStream<Up, Down>

export interface StreamDeps<Up, Down extends FromScheduler> {
  /** Opens the stream, on a client of its own. */
  readonly open: (options: ChannelOptions) => {
    readonly call: SchedulerCall<Up, Down>
    readonly client: { close(): void }
  }
  /** The first message up: who this is and what it has. */
  readonly hello: Up
  /** The message that asks to be drained. */
  readonly draining: Up
  /** Begins to send what changes from the first message on; returns how that ends. */
  readonly follow?: (call: SchedulerCall<Up, Down>) => () => void
  readonly onAnswered: () => void
  /** Of every message but Redirect; what it returns ends the stream. */
  readonly onMessage: (message: Down) => SessionEnd | undefined
  readonly nowMs: () => number
}

export interface SchedulerStream<Up> {
  readonly ended: Promise<SessionEnd>
  readonly send: (message: Up) => void
  /** Asks for the work of this process to be led elsewhere; resolves when it is, or when the stream ends before. */
  readonly drain: () => Promise<'drained' | 'lost'>
  readonly close: () => void
}

const ANSWER_DEADLINE_MS = 10_000
const OPTIONS = {
  // A peer that vanished without a word is noticed within 5 s.
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 3_000,
  // Each connection is a fresh one: the pause between them is ours to choose, not that of a shared subchannel.
  'grpc.use_local_subchannel_pool': 1,
} as const

export function openStream<Up, Down extends FromScheduler>(deps: StreamDeps<Up, Down>): SchedulerStream<Up> {
  const { call, client } = deps.open(OPTIONS)
  let answeredAtMs: number | undefined
  let resolveDrained: (outcome: 'drained' | 'lost') => void = () => undefined
  const drained = new Promise<'drained' | 'lost'>((resolve) => {
    resolveDrained = resolve
  })
  let finish: (end: SessionEnd) => void = () => undefined
  const ended = new Promise<SessionEnd>((resolve) => {
    finish = resolve
  }).finally(() => {
    clearTimeout(answerTimer)
    unfollow?.()
    call.cancel()
    client.close()
    resolveDrained('lost')
  })

  const lose = (reason: string): void => {
    finish(
      answeredAtMs === undefined
        ? { kind: 'unreachable', reason }
        : { kind: 'lost', reason, connectedMs: deps.nowMs() - answeredAtMs },
    )
  }
  const answerTimer = setTimeout(() => {
    lose(`no answer within ${String(ANSWER_DEADLINE_MS)} ms`)
  }, ANSWER_DEADLINE_MS)

  call.on('data', (message: Down) => {
    if (message.redirect) {
      finish({ kind: 'redirected', address: message.redirect.address })
      return
    }
    if (answeredAtMs === undefined) {
      answeredAtMs = deps.nowMs()
      clearTimeout(answerTimer)
      deps.onAnswered()
    }
    const end = deps.onMessage(message)
    if (end !== undefined) finish(end)
    if (message.drained) resolveDrained('drained')
  })
  call.on('error', (error: ServiceError) => {
    lose(toGrpcReason(error))
  })
  call.on('end', () => {
    lose('the scheduler closed the stream')
  })
  call.write(deps.hello)
  const unfollow = deps.follow?.(call)

  return {
    ended,
    send: (message) => {
      call.write(message)
    },
    drain: () => {
      call.write(deps.draining)
      return drained
    },
    close: () => {
      lose('closed by us')
    },
  }
}
