/** The work of loading and of unloading one model. Returns how it ended; never throws. */
import { backoffMs } from '../../kit/backoff.ts'
import { type ServingError, toServingError } from '../../kit/errors.ts'
import type { DesiredModel } from '../desired/desired.ts'
import type { ModelEvent } from '../desired/observed.ts'
import type { ModelRepository } from '../repository/model-repository.ts'
import type { Runtime } from '../runtime/oip-client.ts'

export interface WorkDeps {
  readonly repository: ModelRepository
  readonly runtime: Runtime
  /** Which server process this is; a result from an earlier one says nothing about this one. */
  readonly serverLife: () => number
  readonly nowMs: () => number
}

const UNLOAD_RETRY = { minMs: 1_000, maxMs: 30_000 } as const

/** Puts the folder in place and has the server load it. `report` tells the size before the load ends. */
export async function loadModel(
  deps: WorkDeps,
  model: DesiredModel,
  report: (event: ModelEvent) => void,
): Promise<ModelEvent> {
  try {
    report({ kind: 'artifactStored', stored: await deps.repository.prepare(model) })
    const life = deps.serverLife()
    const outcome = await deps.runtime.load(model.internalName)
    switch (outcome.kind) {
      case 'done':
        return deps.serverLife() === life
          ? { kind: 'loaded' }
          : { kind: 'loadInterrupted', reason: 'the server was replaced meanwhile' }
      case 'failed':
        // Done late after all, it would take memory that nobody counts; MLServer calls itself unready until it is gone.
        if (outcome.error.code === 'LOAD_TIMEOUT') await deps.runtime.unload(model.internalName)
        return toFailure(outcome.error)
      case 'interrupted':
        return { kind: 'loadInterrupted', reason: outcome.reason }
    }
  } catch (error) {
    return toFailure(toServingError(error))
  }
}

/** Has the server unload it and removes its folder. `failures` are those of earlier tries. */
export async function unloadModel(deps: WorkDeps, internalName: string, failures: number): Promise<ModelEvent> {
  const failed = (error: ServingError): ModelEvent => ({
    kind: 'unloadFailed',
    reason: toReason(error),
    retryAtMs: deps.nowMs() + backoffMs(failures, UNLOAD_RETRY),
  })
  try {
    const outcome = await deps.runtime.unload(internalName)
    if (outcome.kind === 'failed') return failed(outcome.error)
    if (outcome.kind === 'interrupted') return { kind: 'unloadInterrupted' }
    await deps.repository.remove(internalName)
    return { kind: 'unloaded' }
  } catch (error) {
    return failed(toServingError(error))
  }
}

const toFailure = (error: ServingError): ModelEvent => ({
  kind: 'loadFailed',
  reason: toReason(error),
  code: error.code,
})

const toReason = (error: ServingError): string => `${error.code}: ${error.message}`
