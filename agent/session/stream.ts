/** One stream to one scheduler, from Hello to its end. What changes while it is up is sent as it changes. */
import { type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import type { AgentMessage } from '../../api/generated/millrace/agent/v1/AgentMessage.ts'
import type { Hello } from '../../api/generated/millrace/agent/v1/Hello.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/agent/v1/SchedulerMessage.ts'
import { AgentService, GRPC_OPTIONS } from '../../api/grpc.ts'
import type { CallerSecurity } from '../../kit/grpc-security.ts'
import type { Logger } from '../../kit/log.ts'
import { toDesiredChange } from '../desired/desired.ts'
import { toGrpcReason } from '../../kit/grpc-reason.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import type { SessionEnd } from '../../kit/scheduler-connection.ts'
import { createOutbox } from './outbox.ts'

export interface StreamDeps {
  readonly security: CallerSecurity
  readonly reconciler: Reconciler
  readonly hello: () => Hello
  readonly memoryBytes: number
  readonly onAnswered: () => void
  readonly log: Logger
  readonly nowMs: () => number
}

export interface SchedulerStream {
  readonly ended: Promise<SessionEnd>
  /** Asks for this replica's models to be moved away; resolves when they are, or when the stream ends before. */
  drain(): Promise<'drained' | 'lost'>
  close(): void
}

type Call = ClientDuplexStream<AgentMessage, SchedulerMessage__Output>

const ANSWER_DEADLINE_MS = 10_000
const OPTIONS = {
  ...GRPC_OPTIONS,
  // A peer that vanished without a word is noticed within 5 s.
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 3_000,
  // Each connection is a fresh one: the pause between them is ours to choose, not that of a shared subchannel.
  'grpc.use_local_subchannel_pool': 1,
} as const

export function openStream(address: string, deps: StreamDeps): SchedulerStream {
  const { reconciler, log } = deps
  const { security } = deps
  const client = new AgentService(address, security.credentials, { ...OPTIONS, ...security.options })
  const call: Call = client.Connect()
  const outbox = createOutbox({ call, state: () => reconciler.state, memoryBytes: deps.memoryBytes })
  let answeredAtMs: number | undefined
  let resolveDrained: ((outcome: 'drained' | 'lost') => void) | undefined
  let finish: (end: SessionEnd) => void = () => undefined
  const ended = new Promise<SessionEnd>((resolve) => {
    finish = resolve
  }).finally(() => {
    clearTimeout(answerTimer)
    unsubscribe()
    call.cancel()
    client.close()
    resolveDrained?.('lost')
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

  const receive = (message: SchedulerMessage__Output): void => {
    if (message.redirect) {
      finish({ kind: 'redirected', address: message.redirect.address })
      return
    }
    if (answeredAtMs === undefined) {
      answeredAtMs = deps.nowMs()
      clearTimeout(answerTimer)
      deps.onAnswered()
    }
    if (message.desired) {
      const result = reconciler.applyDesired(toDesiredChange(message.desired))
      if (result.kind === 'outOfStep') finish({ kind: 'outOfStep', reason: result.reason })
      if (result.kind === 'late')
        log.debug({ generation: message.desired.generation }, 'desired state older than ours is ignored')
    } else if (message.drained) {
      log.info({ reason: message.drained.reason }, 'scheduler has drained this replica')
      resolveDrained?.('drained')
    }
  }

  call.on('data', receive)
  call.on('error', (error: ServiceError) => {
    lose(toGrpcReason(error))
  })
  call.on('end', () => {
    lose('the scheduler closed the stream')
  })
  call.write({ hello: deps.hello() })
  const unsubscribe = reconciler.subscribe(outbox.changed)

  return {
    ended,
    drain: () =>
      new Promise((resolve) => {
        resolveDrained = resolve
        call.write({ drain: {} })
        void ended.then(() => {
          resolve('lost')
        })
      }),
    close: () => {
      lose('closed by us')
    },
  }
}
