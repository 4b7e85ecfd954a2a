/** R4: the difference between what is desired and what is observed, as work to do. Pure; planning twice is harmless. */
import { type Desired, type DesiredModel, modelsOf } from './desired.ts'
import type { Observed, ObservedModels } from './observed.ts'

export type Action =
  | { readonly kind: 'load'; readonly internalName: string; readonly model: DesiredModel }
  | { readonly kind: 'unload'; readonly internalName: string }

/**
 * Unloads come first: they free memory that the loads may need. Nothing is unloaded before a scheduler has said what it
 * wants (`confirmed`), so an agent that restarts adopts what it finds. Models that are being worked on have no action.
 */
export function planActions(desired: Desired, observed: ObservedModels, nowMs: number): Action[] {
  const models = modelsOf(desired)
  const actions: Action[] = []
  if (desired.kind === 'Known' && desired.confirmed) {
    for (const [internalName, state] of observed)
      if (!models.has(internalName) && mayUnload(state, nowMs)) actions.push({ kind: 'unload', internalName })
  }
  for (const [internalName, model] of models)
    if (needsLoad(model, observed.get(internalName))) actions.push({ kind: 'load', internalName, model })
  return actions
}

function mayUnload(observed: Observed, nowMs: number): boolean {
  switch (observed.kind) {
    case 'Stored':
    case 'Loaded':
    case 'LoadFailed':
      return true
    case 'UnloadFailed':
      return nowMs >= observed.retryAtMs
    case 'Loading':
    case 'Unloading':
      return false
  }
}

function needsLoad(model: DesiredModel, observed: Observed | undefined): boolean {
  switch (observed?.kind) {
    case undefined:
    case 'Stored':
    case 'UnloadFailed':
      return true
    case 'Loaded':
      return hasOtherSpec(model, observed)
    case 'LoadFailed':
      return observed.stored.attempt < model.attempt || hasOtherSpec(model, observed)
    case 'Loading':
    case 'Unloading':
      return false
  }
}

/** An empty key: somebody else loaded it and left no record, so there is nothing to compare and it stays. */
const hasOtherSpec = (model: DesiredModel, { stored }: Observed): boolean =>
  stored.specKey !== '' && stored.specKey !== model.specKey

/** When the next failed unload may be tried again; undefined when none waits for the clock. */
export function nextRetryAtMs(observed: ObservedModels, nowMs: number): number | undefined {
  let earliest = Infinity
  for (const state of observed.values())
    if (state.kind === 'UnloadFailed' && state.retryAtMs > nowMs) earliest = Math.min(earliest, state.retryAtMs)
  return earliest === Infinity ? undefined : earliest
}
