/** The control stream of dataflow.proto: who this is and what it holds up, what it shall hold down. */
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { Introduction } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { Dataflow, GRPC_OPTIONS } from '../../api/grpc.ts'
import type { CallerSecurity } from '../../kit/grpc-security.ts'
import type { Logger } from '../../kit/log.ts'
import { SchedulerSession } from '../../kit/scheduler-session.ts'

export interface ControlSessionDeps {
  readonly scheduler: string
  readonly security: CallerSecurity
  readonly introduction: () => Introduction
  /** What the scheduler says, but for what belongs to the connection itself. */
  readonly onMessage: (message: SchedulerMessage__Output) => void
  readonly log: Logger
  readonly nowMs: () => number
}

export type ControlSession = SchedulerSession<GatewayMessage, SchedulerMessage__Output>

export function createControlSession(deps: ControlSessionDeps): ControlSession {
  const { scheduler, security, log, nowMs } = deps
  return new SchedulerSession<GatewayMessage, SchedulerMessage__Output>({
    scheduler,
    open: (address, options) => {
      const client = new Dataflow(address, security.credentials, { ...GRPC_OPTIONS, ...options, ...security.options })
      return { client, call: client.Subscribe() }
    },
    hello: () => ({ introduction: deps.introduction() }),
    draining: { draining: {} },
    onMessage: (message) => {
      if (!message.drained) deps.onMessage(message)
      return undefined
    },
    log,
    nowMs,
  })
}
