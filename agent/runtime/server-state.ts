/** Whether the model server can take traffic, as agent.proto defines DOWN, RELOADING and SERVING. Pure. */
import { type Desired, modelsOf } from '../desired/desired.ts'
import { isSettled, type ObservedModels } from '../desired/observed.ts'

export type ServerState =
  | { readonly kind: 'Down'; readonly reason: string }
  /** It answers; `awaited` are the models that it shall have first, undefined while nobody has said which. */
  | { readonly kind: 'Reloading'; readonly awaited: ReadonlySet<string> | undefined }
  | { readonly kind: 'Serving' }

/**
 * The state of a server that has just come up, or that the agent meets for the first time. With nothing known of what
 * is desired, a server that has models is one that an earlier agent filled: it keeps serving.
 */
export function cameUp(desired: Desired, observed: ObservedModels): ServerState {
  if (desired.kind === 'Known')
    return settle({ kind: 'Reloading', awaited: new Set(desired.models.keys()) }, desired, observed)
  const hasModels = [...observed.values()].some((state) => state.kind === 'Loaded')
  return hasModels ? { kind: 'Serving' } : { kind: 'Reloading', awaited: undefined }
}

/** Reloading ends when each awaited model has been loaded, has failed, or is no longer desired. Serving stays. */
export function settle(server: ServerState, desired: Desired, observed: ObservedModels): ServerState {
  if (server.kind !== 'Reloading') return server
  if (server.awaited === undefined && desired.kind === 'Unknown') return server
  const models = modelsOf(desired)
  const awaited = [...(server.awaited ?? models.keys())].filter(
    (name) => models.has(name) && !isSettled(observed.get(name)),
  )
  return awaited.length === 0 ? { kind: 'Serving' } : { kind: 'Reloading', awaited: new Set(awaited) }
}
