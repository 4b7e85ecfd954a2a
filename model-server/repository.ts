/**
 * The models of one server: `<folder>/<internal name>/` holds each, prepared by the agent; loaded and unloaded when told
 * to. Calls for the same model are done one after the other. A load of a loaded model replaces it only when it succeeds;
 * what was replaced or unloaded answers the requests that it has before it is closed.
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { InferenceRequest, InferenceResponse } from '../api/oip/inference.ts'
import type { ModelMetadata } from '../api/oip/metadata.ts'
import { ServingError, toServingError } from '../kit/errors.ts'
import type { Logger } from '../kit/log.ts'
import type { AdmissionLimits } from './admission.ts'
import { readModelDocument } from './model-document.ts'
import { createModel, type Model, versionOf } from './model.ts'
import type { Runtime } from './runtimes/runtime.ts'

export const MODEL_STATES = ['READY', 'LOADING', 'UNAVAILABLE'] as const

export interface IndexEntry {
  readonly name: string
  readonly version: string
  readonly state: (typeof MODEL_STATES)[number]
  readonly reason: string
}

export interface Repository {
  /** @throws ServingError MODEL_NOT_FOUND, LOAD_FAILED */
  load(name: string): Promise<void>
  /** @throws ServingError MODEL_NOT_FOUND */
  unload(name: string): Promise<void>
  /** Every model of the folder, loaded or not. */
  index(): Promise<readonly IndexEntry[]>
  /** @throws ServingError MODEL_NOT_FOUND when the server has no such model at all */
  isReady(name: string): boolean
  /** @throws ServingError MODEL_NOT_FOUND */
  metadata(name: string): ModelMetadata
  /** @throws ServingError MODEL_NOT_FOUND, TENSOR_INVALID, SERVER_OVERLOADED, CANCELLED, INFERENCE_FAILED */
  infer(name: string, request: InferenceRequest, signal: AbortSignal): Promise<InferenceResponse>
}

export interface RepositoryDeps {
  readonly folder: string
  readonly runtimes: readonly Runtime[]
  readonly limits: AdmissionLimits
  readonly log: Logger
}

/** A folder's name and nothing else: no separators, no leading dot. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

export function createRepository(deps: RepositoryDeps): Repository {
  const loaded = new Map<string, Model>()
  const loading = new Set<string>()
  const failures = new Map<string, string>()
  const inOrder = createOrder()

  const get = (name: string): Model => {
    const model = loaded.get(name)
    if (model) return model
    throw new ServingError('MODEL_NOT_FOUND', `model "${name}" is not loaded on this server`)
  }

  const load = async (name: string): Promise<void> => {
    const path = modelPath(deps.folder, name)
    loading.add(name)
    try {
      const document = await readModelDocument(path)
      const runtime = chooseRuntime(deps.runtimes, path, document.platform)
      const executed = await runtime.load({ internalName: name, path, document })
      const before = loaded.get(name)
      const description = { name, platform: runtime.platform, parameters: document.parameters }
      loaded.set(name, createModel(description, executed, deps.limits))
      failures.delete(name)
      if (before) closeWhenIdle(before)
      deps.log.info({ model: name, platform: runtime.platform }, 'model loaded')
    } catch (error) {
      const failure = toLoadFailure(name, error)
      failures.set(name, failure.message)
      deps.log.warn({ model: name, code: failure.code, error: failure.message }, 'model not loaded')
      throw failure
    } finally {
      loading.delete(name)
    }
  }

  const unload = (name: string): void => {
    failures.delete(name)
    const model = get(name)
    loaded.delete(name)
    closeWhenIdle(model)
    deps.log.info({ model: name }, 'model unloaded')
  }

  const closeWhenIdle = (model: Model): void => {
    model.closeWhenIdle().catch((error: unknown) => {
      deps.log.error({ model: model.metadata.name, error: toServingError(error).message }, 'model not closed')
    })
  }

  return {
    load: (name) => inOrder(name, () => load(name)),
    unload: (name) =>
      inOrder(name, () => {
        unload(name)
        return Promise.resolve()
      }),
    async index() {
      const folders = await readdir(deps.folder, { withFileTypes: true })
      const names = folders.filter((entry) => entry.isDirectory() && NAME.test(entry.name)).map((entry) => entry.name)
      for (const name of failures.keys()) if (!names.includes(name)) failures.delete(name)
      return [...new Set([...names, ...loaded.keys()])].toSorted().map((name) => ({
        name,
        version: versionOf(name),
        ...stateOf(name, loaded, loading, failures),
      }))
    },
    isReady(name) {
      if (loaded.has(name)) return true
      modelPath(deps.folder, name)
      return false
    },
    metadata: (name) => get(name).metadata,
    infer: async (name, request, signal) => await get(name).infer(request, signal),
  }
}

/** @throws ServingError MODEL_NOT_FOUND; a name that is not a plain folder name is not found either */
function modelPath(folder: string, name: string): string {
  const path = join(folder, name)
  if (NAME.test(name) && existsSync(path)) return path
  throw new ServingError('MODEL_NOT_FOUND', `model "${name}" is not in this server's repository`)
}

function chooseRuntime(runtimes: readonly Runtime[], path: string, platform: string | undefined): Runtime {
  const runtime =
    platform === undefined
      ? runtimes.find((candidate) => existsSync(join(path, candidate.artifact)))
      : runtimes.find((candidate) => candidate.platform === platform)
  if (runtime) return runtime
  const known = runtimes.map((candidate) => `${candidate.platform} (${candidate.artifact})`).join(', ')
  const problem = platform === undefined ? 'no file of a known platform' : `unknown platform "${platform}"`
  throw new ServingError('LOAD_FAILED', `${problem}; this server has ${known}`)
}

function toLoadFailure(name: string, error: unknown): ServingError {
  if (error instanceof ServingError && error.code === 'MODEL_NOT_FOUND') return error
  const reason = error instanceof Error ? error.message : String(error)
  return new ServingError('LOAD_FAILED', `model "${name}" cannot be loaded: ${reason}`, { cause: error })
}

function stateOf(
  name: string,
  loaded: ReadonlyMap<string, Model>,
  loading: ReadonlySet<string>,
  failures: ReadonlyMap<string, string>,
): Pick<IndexEntry, 'state' | 'reason'> {
  if (loaded.has(name)) return { state: 'READY', reason: '' }
  if (loading.has(name)) return { state: 'LOADING', reason: '' }
  return { state: 'UNAVAILABLE', reason: failures.get(name) ?? 'not loaded' }
}

/** Runs the work of one name in the order it was asked for; that of different names side by side. */
function createOrder(): (name: string, work: () => Promise<void>) => Promise<void> {
  const last = new Map<string, Promise<void>>()
  return (name, work) => {
    const before = last.get(name) ?? Promise.resolve()
    const result = before.then(work)
    const settled = result
      .catch(() => undefined) // whoever asked for it is told
      .then(() => {
        if (last.get(name) === settled) last.delete(name)
      })
    last.set(name, settled)
    return result
  }
}
