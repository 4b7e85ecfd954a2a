/** What is known of each model on this replica. States and their transitions are pure; `reconcile/` makes them happen. */
import type { ErrorCode } from '../../kit/errors.ts'
import type { StoredModel } from '../repository/stored-model.ts'

/**
 * Stored: its folder is in the repository, the server does not have it. No entry at all: neither.
 * `interruptions` counts the loads of this attempt that ended because the server went away.
 */
export type Observed =
  | { readonly kind: 'Stored'; readonly stored: StoredModel; readonly interruptions: number }
  | { readonly kind: 'Loading'; readonly stored: StoredModel; readonly interruptions: number }
  | { readonly kind: 'Loaded'; readonly stored: StoredModel }
  | { readonly kind: 'LoadFailed'; readonly stored: StoredModel; readonly reason: string; readonly code?: ErrorCode }
  | { readonly kind: 'Unloading'; readonly stored: StoredModel; readonly failures: number }
  | {
      readonly kind: 'UnloadFailed'
      readonly stored: StoredModel
      readonly reason: string
      readonly failures: number
      readonly retryAtMs: number
    }

export type ObservedModels = ReadonlyMap<string, Observed>

export type ModelEvent =
  | { readonly kind: 'loadStarted'; readonly stored: StoredModel }
  | { readonly kind: 'artifactStored'; readonly stored: StoredModel }
  | { readonly kind: 'loaded' }
  | { readonly kind: 'loadFailed'; readonly reason: string; readonly code?: ErrorCode }
  /** The server went away, or was replaced, while it was loading. */
  | { readonly kind: 'loadInterrupted'; readonly reason: string }
  | { readonly kind: 'unloadStarted' }
  | { readonly kind: 'unloaded' }
  | { readonly kind: 'unloadFailed'; readonly reason: string; readonly retryAtMs: number }
  | { readonly kind: 'unloadInterrupted' }
  /** The server's index names it, or no longer does. */
  | { readonly kind: 'foundLoaded'; readonly stored: StoredModel }
  | { readonly kind: 'foundMissing' }

/** A model that takes its server down this often while loading is at fault itself, and its neighbours suffer. */
export const MAX_INTERRUPTIONS = 3

/** The next state; undefined when nothing is left of the model. Events that do not fit the state change nothing. */
export function transition(observed: Observed | undefined, event: ModelEvent): Observed | undefined {
  switch (event.kind) {
    case 'loadStarted': {
      const interruptions = observed?.kind === 'Stored' ? observed.interruptions : 0
      return { kind: 'Loading', stored: event.stored, interruptions }
    }
    case 'artifactStored':
      return observed?.kind === 'Loading' ? { ...observed, stored: event.stored } : observed
    case 'loaded':
      return observed?.kind === 'Loading' ? { kind: 'Loaded', stored: observed.stored } : observed
    case 'loadFailed':
      return observed?.kind === 'Loading' ? { ...event, kind: 'LoadFailed', stored: observed.stored } : observed
    case 'loadInterrupted': {
      if (observed?.kind !== 'Loading') return observed
      const interruptions = observed.interruptions + 1
      if (interruptions < MAX_INTERRUPTIONS) return { kind: 'Stored', stored: observed.stored, interruptions }
      const reason = `the server went away ${String(interruptions)} times while loading it: ${event.reason}`
      return { kind: 'LoadFailed', stored: observed.stored, reason }
    }
    case 'unloadStarted':
      if (observed === undefined) return undefined
      return {
        kind: 'Unloading',
        stored: observed.stored,
        failures: observed.kind === 'UnloadFailed' ? observed.failures : 0,
      }
    case 'unloaded':
      return observed?.kind === 'Unloading' ? undefined : observed
    case 'unloadFailed':
      return observed?.kind === 'Unloading'
        ? {
            ...observed,
            kind: 'UnloadFailed',
            reason: event.reason,
            failures: observed.failures + 1,
            retryAtMs: event.retryAtMs,
          }
        : observed
    case 'unloadInterrupted':
      return observed?.kind === 'Unloading' ? { kind: 'Stored', stored: observed.stored, interruptions: 0 } : observed
    case 'foundLoaded':
      if (observed === undefined) return { kind: 'Loaded', stored: event.stored }
      return observed.kind === 'Stored' ? { kind: 'Loaded', stored: observed.stored } : observed
    case 'foundMissing':
      return observed?.kind === 'Loaded' || observed?.kind === 'UnloadFailed'
        ? { kind: 'Stored', stored: observed.stored, interruptions: 0 }
        : observed
  }
}

/** Loaded or failed: the wait for this model is over. */
export const isSettled = (observed: Observed | undefined): boolean =>
  observed?.kind === 'Loaded' || observed?.kind === 'LoadFailed'
