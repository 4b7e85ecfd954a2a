/**
 * One agent's stream. What the agent shall have is sent from the ledger whenever the stream takes more: a slow agent
 * holds no queue here, it is only told later, and then of the newest state.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { AgentMessage__Output } from '../../api/generated/millrace/agent/v1/AgentMessage.ts'
import type { Hello__Output } from '../../api/generated/millrace/agent/v1/Hello.ts'
import type { SchedulerMessage } from '../../api/generated/millrace/agent/v1/SchedulerMessage.ts'
import type { DesiredModelVersion } from '../domain/desired.ts'
import type { ReplicaKey } from '../domain/documents.ts'
import type { Ledger, LedgerDifference } from './ledger.ts'
import { toDesiredMessage } from './messages.ts'

/** An agent that takes nothing for this long is disconnected; it comes back and is told everything. */
const SEND_DEADLINE_MS = 30_000

export type AgentStream = ServerDuplexStream<AgentMessage__Output, SchedulerMessage>

export interface Session {
  readonly replica: ReplicaKey
  readonly hello: Hello__Output
  /** The first Desired; then the ledger's later changes follow with `deliver`. */
  readonly begin: (ledger: Ledger, first: { readonly full: boolean; readonly difference: LedgerDifference }) => void
  readonly deliver: () => void
  readonly drained: (reason: string) => void
  readonly end: () => void
}

export function createSession(
  stream: AgentStream,
  hello: Hello__Output,
  replica: ReplicaKey,
  memoryBytesOf: (desired: DesiredModelVersion) => number,
): Session {
  let ledger: Ledger | undefined
  let sentGeneration = 0
  let blocked: NodeJS.Timeout | undefined

  const send = (message: SchedulerMessage): void => {
    if (stream.destroyed || stream.writableEnded || stream.write(message)) return
    blocked ??= setTimeout(() => {
      stream.destroy(new Error('the agent takes no messages'))
    }, SEND_DEADLINE_MS)
  }
  const sendDesired = (epoch: string, full: boolean, difference: LedgerDifference): void => {
    sentGeneration = difference.generation
    send({ desired: toDesiredMessage(epoch, full, difference, memoryBytesOf) })
  }
  const deliver = (): void => {
    if (ledger === undefined || blocked !== undefined || ledger.generation() === sentGeneration) return
    const difference = ledger.since(sentGeneration)
    if (difference === undefined) sendDesired(ledger.epoch, true, ledger.everything())
    else sendDesired(ledger.epoch, false, difference)
  }
  stream.on('drain', () => {
    clearTimeout(blocked)
    blocked = undefined
    deliver()
  })
  stream.on('close', () => {
    clearTimeout(blocked)
  })

  return {
    replica,
    hello,
    begin: (given, { full, difference }) => {
      ledger = given
      sendDesired(given.epoch, full, difference)
    },
    deliver,
    drained: (reason) => {
      send({ drained: { reason } })
    },
    end: () => {
      clearTimeout(blocked)
      stream.end()
    },
  }
}
