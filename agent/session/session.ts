/** The agent's stream to the scheduler: Hello and what changes up, what is desired down. */
import { randomUUID } from 'node:crypto'
import type { AgentMessage } from '../../api/generated/millrace/agent/v1/AgentMessage.ts'
import type { ReplicaConfig } from '../../api/generated/millrace/agent/v1/ReplicaConfig.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/agent/v1/SchedulerMessage.ts'
import { AgentService, GRPC_OPTIONS } from '../../api/grpc.ts'
import type { CallerSecurity } from '../../kit/grpc-security.ts'
import type { Logger } from '../../kit/log.ts'
import type { SessionEnd } from '../../kit/scheduler-connection.ts'
import { SchedulerSession } from '../../kit/scheduler-session.ts'
import { toDesiredChange } from '../desired/desired.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import { toHello } from './messages.ts'
import { createOutbox } from './outbox.ts'

export interface AgentSessionDeps {
  readonly scheduler: string
  readonly security: CallerSecurity
  readonly serverName: string
  readonly replicaIndex: number
  readonly replicaConfig: ReplicaConfig & { readonly memoryBytes: number }
  readonly reconciler: Reconciler
  readonly log: Logger
  readonly nowMs: () => number
}

export type AgentSession = SchedulerSession<AgentMessage, SchedulerMessage__Output>

export function createAgentSession(deps: AgentSessionDeps): AgentSession {
  const { scheduler, security, replicaConfig, reconciler, log, nowMs } = deps
  const sessionId = randomUUID()
  return new SchedulerSession<AgentMessage, SchedulerMessage__Output>({
    scheduler,
    open: (address, options) => {
      const client = new AgentService(address, security.credentials, {
        ...GRPC_OPTIONS,
        ...options,
        ...security.options,
      })
      return { client, call: client.Connect() }
    },
    hello: (before) => ({
      hello: toHello({ ...deps, sessionId, full: before?.kind === 'outOfStep' }, reconciler.state),
    }),
    follow: (call) => {
      const { memoryBytes } = replicaConfig
      return reconciler.subscribe(createOutbox({ call, state: () => reconciler.state, memoryBytes }).changed)
    },
    draining: { drain: {} },
    onMessage: (message) => receive(message, reconciler, log),
    log,
    nowMs,
  })
}

function receive(
  { desired, drained }: SchedulerMessage__Output,
  reconciler: Reconciler,
  log: Logger,
): SessionEnd | undefined {
  if (drained) log.info({ reason: drained.reason }, 'scheduler has drained this replica')
  if (!desired) return undefined
  const result = reconciler.applyDesired(toDesiredChange(desired))
  if (result.kind === 'outOfStep') return { kind: 'outOfStep', reason: result.reason }
  if (result.kind === 'late') log.debug({ generation: desired.generation }, 'desired state older than ours is ignored')
  return undefined
}
