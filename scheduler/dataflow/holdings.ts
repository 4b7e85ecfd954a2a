/**
 * What one gateway said of the versions it was asked to load, on its present stream. Not stored: it says it again with each
 * connection. What it lacks of what serves is counted as it changes, so a change costs one pipeline.
 */
import type { PipelineDocument } from '../domain/documents.ts'
import { servingPipelineVersion } from '../domain/pipeline/facts.ts'
import type { Said, Unload, UnloadStep } from '../domain/pipeline/gateways-view.ts'

const MAX_ATTEMPTS = 10
const RETRY = { firstMs: 1_000, maxMs: 60_000 }
const UNLOAD_RETRY = { firstMs: 1_000, maxMs: 300_000 }
/** A gateway that says nothing about a load for so long has failed it. */
const ANSWER_DEADLINE_MS = 60_000

/** What time alone brings about. */
export type Due =
  /** This load failed a while ago. */
  | { readonly kind: 'load'; readonly pipeline: string; readonly uid: string }
  | { readonly kind: 'unload'; readonly pipeline: string }
  /** What it says of this pipeline is another thing now: no answer came in time, or it was given up. */
  | { readonly kind: 'changed'; readonly pipeline: string }

export interface Holdings {
  /** It was asked to load these. */
  readonly asked: (pipeline: string, uids: readonly string[], nowMs: number) => void
  readonly loaded: (uid: string) => void
  /** `mayPass`: not the pipeline's fault, so it is asked again for as long as it takes. */
  readonly failed: (pipeline: string, uid: string, reason: string, nowMs: number, mayPass?: boolean) => void
  /** Nobody wants it there any more. */
  readonly gone: (uid: string) => void
  readonly said: (uid: string) => Said
  /** It was asked to unload a deleted pipeline. */
  readonly unloading: (pipeline: string, versions: readonly number[], step: UnloadStep) => void
  /** Whether it was asked to. */
  readonly unloaded: (pipeline: string, version: number, failure: string | undefined, nowMs: number) => boolean
  readonly unload: (pipeline: string, step: UnloadStep) => Pick<Unload, 'kind' | 'reason'>
  /** Compares what serves with what it has: for every committed change of a pipeline, and when something was said of it. */
  readonly follow: (name: string, pipeline: PipelineDocument | undefined) => void
  /** How many serving versions it does not have. */
  readonly missing: () => number
  /** Of these, those that it has not failed. */
  readonly unanswered: () => number
  readonly due: (nowMs: number) => readonly Due[]
}

interface Load {
  readonly pipeline: string
  said: Said
  attempts: number
  /** When it is asked again, or when its answer is late. */
  dueAtMs: number
}

interface Unloading {
  readonly versions: Set<number>
  readonly step: UnloadStep
  failure: string | undefined
  failures: number
  dueAtMs: number
}

/** @param held uids that it says it holds already */
export function createHoldings(held: readonly string[]): Holdings {
  const loaded = new Set(held)
  /** Loads that were not answered, or failed; `loaded` and `gone` end them. */
  const open = new Map<string, Load>()
  const unloads = new Map<string, Unloading>()
  const missing = new Set<string>()
  const failedHere = new Set<string>()

  const said = (uid: string): Said =>
    loaded.has(uid) ? { kind: 'loaded' } : (open.get(uid)?.said ?? { kind: 'nothing' })
  const openLoad = (pipeline: string, uid: string): Load => {
    const load = open.get(uid) ?? { pipeline, said: { kind: 'nothing' }, attempts: 0, dueAtMs: 0 }
    open.set(uid, load)
    return load
  }
  const fail = (load: Load, reason: string, nowMs: number, mayPass = false): void => {
    const retrying = mayPass || load.attempts < MAX_ATTEMPTS
    load.said = { kind: 'failed', reason, retrying }
    load.dueAtMs = retrying ? nowMs + delayMs(load.attempts, RETRY) : Infinity
  }
  /** A load whose time has come: its answer is late, or it is asked again. */
  const dueLoad = (uid: string, load: Load, nowMs: number): Due => {
    const { pipeline } = load
    if (load.said.kind === 'failed' && load.said.retrying) return { kind: 'load', pipeline, uid }
    const reason =
      load.said.kind === 'failed' ? load.said.reason : `no answer in ${String(ANSWER_DEADLINE_MS / 1_000)} s`
    fail(load, reason, nowMs)
    return { kind: 'changed', pipeline }
  }

  return {
    said,
    asked: (pipeline, uids, nowMs) => {
      for (const uid of uids) {
        const load = openLoad(pipeline, uid)
        load.attempts += 1
        load.dueAtMs = nowMs + ANSWER_DEADLINE_MS
      }
    },
    loaded: (uid) => {
      open.delete(uid)
      loaded.add(uid)
    },
    failed: (pipeline, uid, reason, nowMs, mayPass) => {
      loaded.delete(uid)
      fail(openLoad(pipeline, uid), reason, nowMs, mayPass)
    },
    gone: (uid) => {
      loaded.delete(uid)
      open.delete(uid)
    },
    unloading: (pipeline, versions, step) => {
      if (versions.length === 0) return
      const before = unloads.get(pipeline)
      const failures = before?.step === step ? before.failures : 0
      unloads.set(pipeline, { versions: new Set(versions), step, failure: undefined, failures, dueAtMs: Infinity })
    },
    unloaded: (pipeline, version, failure, nowMs) => {
      const entry = unloads.get(pipeline)
      if (entry?.versions.has(version) !== true) return false
      entry.failure = failure
      if (failure === undefined) entry.versions.delete(version)
      else {
        entry.failures += 1
        entry.dueAtMs = nowMs + delayMs(entry.failures, UNLOAD_RETRY)
      }
      return true
    },
    unload: (pipeline, step) => {
      const entry = unloads.get(pipeline)
      if (entry?.step !== step) return { kind: 'asked', reason: '' } // what it said of another step says nothing of this
      if (entry.versions.size === 0) return { kind: 'unloaded', reason: '' }
      if (entry.failure !== undefined) return { kind: 'failed', reason: entry.failure }
      return { kind: 'asked', reason: '' }
    },
    follow: (name, pipeline) => {
      const serving = pipeline === undefined ? undefined : servingPipelineVersion(pipeline)
      const answer: Said = serving === undefined ? { kind: 'loaded' } : said(serving.uid)
      mark(missing, name, answer.kind !== 'loaded')
      mark(failedHere, name, answer.kind === 'failed')
      if (pipeline?.unloading !== true) unloads.delete(name) // applied again: another deletion asks anew
    },
    missing: () => missing.size,
    unanswered: () => missing.size - failedHere.size,
    due: (nowMs) => [
      ...[...open].filter(([, { dueAtMs }]) => dueAtMs <= nowMs).map(([uid, load]) => dueLoad(uid, load, nowMs)),
      ...[...unloads]
        .filter(([, { dueAtMs }]) => dueAtMs <= nowMs)
        .map(([pipeline]): Due => ({ kind: 'unload', pipeline })),
    ],
  }
}

/** Doubling from the first on. */
const delayMs = (attempts: number, { firstMs, maxMs }: { firstMs: number; maxMs: number }): number =>
  Math.min(maxMs, firstMs * 2 ** Math.max(0, attempts - 1))

function mark(set: Set<string>, name: string, member: boolean): void {
  if (member) set.add(name)
  else set.delete(name)
}
