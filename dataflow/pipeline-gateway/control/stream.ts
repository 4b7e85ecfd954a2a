/** One stream to one scheduler, from the Introduction to its end. */
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js'
import type { GatewayMessage } from '../../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { Introduction } from '../../../api/generated/millrace/dataflow/Introduction.ts'
import type { SchedulerMessage__Output } from '../../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { Dataflow, GRPC_OPTIONS } from '../../../api/grpc.ts'
import { toGrpcReason } from '../../../kit/grpc-reason.ts'
import type { CallerSecurity } from '../../../kit/grpc-security.ts'
import type { SessionEnd } from '../../../kit/scheduler-connection.ts'

export interface StreamDeps {
  readonly security: CallerSecurity
  readonly introduction: Introduction
  readonly onAnswered: () => void
  readonly onMessage: (message: SchedulerMessage__Output) => void
  readonly nowMs: () => number
}

export interface ControlStream {
  readonly ended: Promise<SessionEnd>
  readonly send: (message: GatewayMessage) => void
  /** Resolves when no Envoy sends new requests here, or when the stream ends before. */
  readonly drain: () => Promise<void>
  readonly close: () => void
}

type Call = ClientDuplexStream<GatewayMessage, SchedulerMessage__Output>

const ANSWER_DEADLINE_MS = 10_000
const OPTIONS = {
  ...GRPC_OPTIONS,
  // A peer that vanished without a word is noticed within 5 s.
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 3_000,
  // Each connection is a fresh one: the pause between them is ours to choose, not that of a shared subchannel.
  'grpc.use_local_subchannel_pool': 1,
} as const

export function openStream(address: string, deps: StreamDeps): ControlStream {
  const client = new Dataflow(address, deps.security.credentials, { ...OPTIONS, ...deps.security.options })
  const call: Call = client.Subscribe()
  let answeredAtMs: number | undefined
  let onDrained: () => void = () => undefined
  let finish: (end: SessionEnd) => void = () => undefined
  const ended = new Promise<SessionEnd>((resolve) => {
    finish = resolve
  }).finally(() => {
    clearTimeout(answerTimer)
    call.cancel()
    client.close()
    onDrained()
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

  call.on('data', (message: SchedulerMessage__Output) => {
    if (message.redirect) {
      finish({ kind: 'redirected', address: message.redirect.address })
      return
    }
    if (answeredAtMs === undefined) {
      answeredAtMs = deps.nowMs()
      clearTimeout(answerTimer)
      deps.onAnswered()
    }
    if (message.drained) onDrained()
    else deps.onMessage(message)
  })
  call.on('error', (error: ServiceError) => {
    lose(toGrpcReason(error))
  })
  call.on('end', () => {
    lose('the scheduler closed the stream')
  })
  call.write({ introduction: deps.introduction })

  return {
    ended,
    send: (message) => {
      call.write(message)
    },
    drain: () =>
      new Promise((resolve) => {
        onDrained = resolve
        call.write({ draining: {} })
      }),
    close: () => {
      lose('closed by us')
    },
  }
}
