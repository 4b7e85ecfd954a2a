/** From what the agent knows to what it tells the scheduler. Pure. */
import type { Hello } from '../../api/generated/millrace/agent/v1/Hello.ts'
import type { ObservedModel } from '../../api/generated/millrace/agent/v1/ObservedModel.ts'
import type { ReplicaConfig } from '../../api/generated/millrace/agent/v1/ReplicaConfig.ts'
import type { ServerHealth } from '../../api/generated/millrace/agent/v1/ServerHealth.ts'
import { availableMemoryBytes, type DesiredModel, modelsOf } from '../desired/desired.ts'
import type { Observed } from '../desired/observed.ts'
import type { ReplicaState } from '../reconcile/replica-state.ts'
import type { ServerState } from '../runtime/server-state.ts'

/**
 * One model as the scheduler sees it. A desired model that waits for its turn is LOADING; a folder nobody desires is
 * nothing; what a load ended with answers the desired attempt, also when the model was loaded before it was asked for.
 */
export function toObservedModel(
  internalName: string,
  desired: DesiredModel | undefined,
  observed: Observed | undefined,
): ObservedModel | undefined {
  const stored = observed?.stored
  const base = {
    internalName,
    reason: '',
    artifactBytes: stored?.artifactBytes ?? 0,
    attempt: stored?.attempt ?? desired?.attempt ?? 0,
  }
  switch (observed?.kind) {
    case undefined:
    case 'Stored':
      return desired && { ...base, state: 'LOADING', attempt: desired.attempt }
    case 'Loading':
      return { ...base, state: 'LOADING' }
    case 'Loaded':
      return { ...base, state: 'LOADED', attempt: Math.max(base.attempt, desired?.attempt ?? 0) }
    case 'LoadFailed':
      return { ...base, state: 'LOAD_FAILED', reason: observed.reason, code: observed.code ?? '' }
    case 'Unloading':
      return { ...base, state: 'UNLOADING' }
    case 'UnloadFailed':
      return { ...base, state: 'UNLOAD_FAILED', reason: observed.reason }
  }
}

/** The state of one model in a report; a model of which nothing is left has been unloaded. */
export function reportModel(state: ReplicaState, internalName: string): ObservedModel {
  return (
    toObservedModel(internalName, modelsOf(state.desired).get(internalName), state.observed.get(internalName)) ?? {
      internalName,
      state: 'UNLOADED',
    }
  )
}

/** Everything the agent knows of. */
function reportAll(state: ReplicaState): ObservedModel[] {
  const models = modelsOf(state.desired)
  const names = new Set([...models.keys(), ...state.observed.keys()])
  return [...names].flatMap((name) => toObservedModel(name, models.get(name), state.observed.get(name)) ?? [])
}

export interface AgentIdentity {
  readonly serverName: string
  readonly replicaIndex: number
  readonly sessionId: string
  readonly replicaConfig: ReplicaConfig & { readonly memoryBytes: number }
  /** Ask for everything, whatever is known already. */
  readonly full: boolean
}

export function toHello(agent: AgentIdentity, state: ReplicaState): Hello {
  const resume = state.desired.kind === 'Known' && !agent.full ? state.desired : { epoch: '', generation: 0 }
  return {
    serverName: agent.serverName,
    replicaIndex: agent.replicaIndex,
    sessionId: agent.sessionId,
    config: agent.replicaConfig,
    models: reportAll(state),
    epoch: resume.epoch,
    generation: resume.generation,
    health: toServerHealth(
      state.server,
      availableMemoryBytes(agent.replicaConfig.memoryBytes, modelsOf(state.desired)),
    ),
  }
}

export function toServerHealth(server: ServerState, availableBytes: number): ServerHealth {
  switch (server.kind) {
    case 'Down':
      return { state: 'DOWN', reason: server.reason, availableMemoryBytes: availableBytes }
    case 'Reloading':
      return { state: 'RELOADING', reason: describeAwaited(server.awaited), availableMemoryBytes: availableBytes }
    case 'Serving':
      return { state: 'SERVING', reason: '', availableMemoryBytes: availableBytes }
  }
}

function describeAwaited(awaited: ReadonlySet<string> | undefined): string {
  if (awaited === undefined) return 'waits for the scheduler to say which models it wants'
  const [first] = awaited
  return `waits for ${String(awaited.size)} model(s) to load, ${first ?? 'none'} first`
}
