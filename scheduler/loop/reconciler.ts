/**
 * The models that may need something, and what they need. The set is in memory: it is rebuilt from the documents at the
 * start of each leadership and swept, so losing an entry costs time, never correctness.
 */
import type { ClusterState } from '../domain/cluster.ts'
import type { ModelDocument } from '../domain/documents.ts'
import type { Write } from '../domain/store.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { ReconcileContext, Reconciliation } from '../domain/reconcile/context.ts'
import { reconcileModel } from '../domain/reconcile/model.ts'
import type { Batch } from './batch.ts'
import { BATCH_TARGET_WRITES } from './writer.ts'

/** Withheld moves that are asked again together; those beyond the budget are withheld once more. */
const ADMITTED_AT_ONCE = 10

export interface WakeUp {
  /** A model's name, or `pipeline/<name>` or `experiment/<name>`. */
  readonly key: string
  readonly atMs: number
}

export interface ReconcilerDeps {
  readonly cluster: ClusterState
  readonly context: () => ReconcileContext
  /** Reconcile these again then. */
  readonly schedule: (wakeUps: readonly WakeUp[]) => void
  readonly onReconciled: (seconds: number) => void
  readonly log: Logger
}

export interface Reconciler {
  /** Models that something happened to: they do not wait for all that are only looked at again. */
  readonly mark: (models: Iterable<string>) => void
  /** Models to look at again, because something near them changed. */
  readonly markLater: (models: Iterable<string>) => void
  /** Every model, later; at the start of a leadership. */
  readonly markAll: () => void
  /** Every model that is not where it shall be. */
  readonly sweep: () => void
  readonly size: () => number
  /** Reconciles marked models into the batch until it is full. */
  readonly fill: (batch: Batch) => { readonly done: (committed: boolean) => void }
}

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { cluster } = deps
  const dirty = new Set<string>()
  /** Never holds what is dirty. */
  const later = new Set<string>()
  /** Moves that wait for others to end, in the order in which they came. */
  const withheld = new Set<string>()

  const mark = (models: Iterable<string>): void => {
    for (const model of models) {
      later.delete(model)
      dirty.add(model)
    }
  }
  const markLater = (models: Iterable<string>): void => {
    for (const model of models) if (!dirty.has(model)) later.add(model)
  }

  /** One model; a model that cannot be reconciled is a bug that must not stop the others. */
  function reconcile(name: string, batch: Batch): WakeUp | undefined {
    const model = cluster.model(name)
    if (model === undefined) return undefined
    const started = performance.now()
    try {
      const result = reconcileModel(model, cluster, deps.context())
      batch.add(toWrites(name, model.revision, result))
      if (result.isWithheld) withheld.add(name)
      return result.wakeAtMs === undefined ? undefined : { key: name, atMs: result.wakeAtMs }
    } catch (error) {
      deps.log.error({ model: name, error: toServingError(error).message }, 'model cannot be reconciled')
      return undefined
    } finally {
      deps.onReconciled((performance.now() - started) / 1_000)
    }
  }

  const mayAdmit = (): boolean => withheld.size > 0 && deps.context().moveBudget()

  function admitWithheld(): void {
    if (!mayAdmit()) return
    let admitted = 0
    for (const name of withheld) {
      if (admitted === ADMITTED_AT_ONCE) return
      mark([name])
      admitted += 1
    }
  }

  function fill(batch: Batch) {
    const taken: string[] = []
    const wakeUps: WakeUp[] = []
    admitWithheld()
    for (const name of inTurn(dirty, later)) {
      if (batch.size() >= BATCH_TARGET_WRITES || taken.length >= BATCH_TARGET_WRITES) break
      dirty.delete(name)
      later.delete(name)
      withheld.delete(name)
      taken.push(name)
      const wakeUp = reconcile(name, batch)
      if (wakeUp !== undefined) wakeUps.push(wakeUp)
    }
    return {
      done: (committed: boolean): void => {
        if (committed) deps.schedule(wakeUps)
        else mark(taken)
      },
    }
  }

  return {
    mark,
    markLater,
    markAll: () => {
      markLater([...cluster.models()].map(({ name }) => name))
    },
    sweep: () => {
      markLater([...cluster.models()].filter((model) => !isSettled(model)).map(({ name }) => name))
    },
    size: () => dirty.size + later.size + (mayAdmit() ? 1 : 0),
    fill,
  }
}

/** One of each, while both last: neither waits for the whole of the other. */
function* inTurn(first: Iterable<string>, second: Iterable<string>): Generator<string> {
  const sources = [first[Symbol.iterator](), second[Symbol.iterator]()]
  for (let open = true; open;) {
    open = false
    for (const source of sources) {
      const next = source.next()
      if (next.done === true) continue
      open = true
      yield next.value
    }
  }
}

function isSettled(model: ModelDocument): boolean {
  if (model.versions.length > 1 || Object.keys(model.versions[0]?.leaving ?? {}).length > 0) return false
  return model.status.state === 'ModelAvailable' || model.status.state === 'ModelScaledDown'
}

function toWrites(name: string, expectedRevision: number, result: Reconciliation): readonly Write[] {
  const events = result.events.map((event): Write => ({ kind: 'event', subject: `model/${name}`, event }))
  if (result.remove) return [{ kind: 'model', name, expectedRevision, document: undefined }, ...events]
  if (result.document === undefined) return events
  return [{ kind: 'model', name, expectedRevision, document: result.document }, ...events]
}
