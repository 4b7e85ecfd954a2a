/** What the scheduler has not been told yet. Bounded by the number of models: a model that changes twice is told once. */
import type { AgentMessage } from '../../api/generated/millrace/agent/v1/AgentMessage.ts'
import { availableMemoryBytes, modelsOf } from '../desired/desired.ts'
import type { ChangeListener } from '../reconcile/reconciler.ts'
import type { ReplicaState } from '../reconcile/replica-state.ts'
import { reportModel, toServerHealth } from './messages.ts'

/** The part of a gRPC call that is written to. */
interface Writable {
  /** False: wait for `drain` before writing more. */
  write(message: AgentMessage): boolean
  once(event: 'drain', listener: () => void): unknown
}

interface Deps {
  readonly call: Writable
  readonly state: () => ReplicaState
  readonly memoryBytes: number
}

/** Made when Hello is sent, which tells everything up to then. */
export function createOutbox({ call, state, memoryBytes }: Deps): { readonly changed: ChangeListener } {
  const untold = new Set<string>()
  let told = summarize(state())
  let full = false

  const write = (message: AgentMessage): void => {
    if (call.write(message)) return
    full = true
    call.once('drain', () => {
      full = false
      flush()
    })
  }

  function flush(): void {
    if (full) return
    const now = state()
    const before = told
    told = summarize(now)
    const { availableBytes, appliedGeneration } = told
    if (untold.size > 0 || appliedGeneration !== before.appliedGeneration || availableBytes !== before.availableBytes) {
      const models = [...untold].map((name) => reportModel(now, name))
      untold.clear()
      write({ observed: { models, appliedGeneration, availableMemoryBytes: availableBytes } })
    }
    // After the models: a server that is SERVING again has them.
    if (told.health !== before.health) write({ health: toServerHealth(now.server, availableBytes) })
  }

  /** What is told beside the models, in a form that can be compared. */
  function summarize(now: ReplicaState) {
    return {
      health: JSON.stringify(toServerHealth(now.server, 0)),
      appliedGeneration: now.appliedGeneration,
      availableBytes: availableMemoryBytes(memoryBytes, modelsOf(now.desired)),
    }
  }

  return {
    changed: (internalNames) => {
      for (const name of internalNames) untold.add(name)
      flush()
    },
  }
}
