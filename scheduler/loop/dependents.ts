/**
 * The pipelines and experiments that may need something. Like the models of `reconciler.ts`, which they follow: the set is in
 * memory, rebuilt at the start of each leadership and swept.
 */
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { ClusterState } from '../domain/cluster.ts'
import { type ExperimentContext, reconcileExperiment } from '../domain/experiment/reconcile.ts'
import type { DependentKey } from '../domain/index/dependents.ts'
import { reconcilePipeline } from '../domain/pipeline/reconcile.ts'
import type { ReconcileContext } from '../domain/reconcile/context.ts'
import type { DependentReconciliation } from '../domain/reconcile/dependent.ts'
import type { DocumentByKind, Write } from '../domain/store.ts'
import type { Batch } from './batch.ts'
import type { WakeUp } from './reconciler.ts'
import { BATCH_TARGET_WRITES } from './writer.ts'

export interface DependentsDeps {
  readonly cluster: ClusterState
  readonly context: () => ReconcileContext & ExperimentContext
  /** Reconcile these again then. */
  readonly schedule: (wakeUps: readonly WakeUp[]) => void
  readonly log: Logger
}

export interface Dependents {
  /** Something happened to these, or to what they name. */
  readonly mark: (keys: Iterable<DependentKey>) => void
  /** At the start of a leadership, and in each sweep. */
  readonly markAll: () => void
  readonly size: () => number
  /** Reconciles marked ones into the batch until it is full. */
  readonly fill: (batch: Batch) => { readonly done: (committed: boolean) => void }
}

interface Step {
  readonly writes: readonly Write[]
  readonly wakeAtMs?: number
}

export function createDependentsReconciler(deps: DependentsDeps): Dependents {
  const { cluster } = deps
  const dirty = new Set<DependentKey>()
  const mark = (keys: Iterable<DependentKey>): void => {
    for (const key of keys) dirty.add(key)
  }

  /** One of them; one that cannot be reconciled is a bug that must not stop the others. */
  function reconcile(key: DependentKey, batch: Batch): WakeUp | undefined {
    try {
      const step = planStep(key, cluster, deps.context())
      if (step === undefined) return undefined
      batch.add(step.writes)
      return step.wakeAtMs === undefined ? undefined : { key, atMs: step.wakeAtMs }
    } catch (error) {
      deps.log.error({ resource: key, error: toServingError(error).message }, 'resource cannot be reconciled')
      return undefined
    }
  }

  return {
    mark,
    markAll: () => {
      for (const { name } of cluster.pipelines()) dirty.add(`pipeline/${name}`)
      for (const { name } of cluster.experiments()) dirty.add(`experiment/${name}`)
    },
    size: () => dirty.size,
    fill: (batch) => {
      const taken: DependentKey[] = []
      const wakeUps: WakeUp[] = []
      for (const key of dirty) {
        if (batch.size() >= BATCH_TARGET_WRITES || taken.length >= BATCH_TARGET_WRITES) break
        dirty.delete(key)
        taken.push(key)
        const wakeUp = reconcile(key, batch)
        if (wakeUp !== undefined) wakeUps.push(wakeUp)
      }
      return {
        done: (committed) => {
          if (committed) deps.schedule(wakeUps)
          else mark(taken)
        },
      }
    },
  }
}

/** Undefined: it is gone. */
function planStep(
  key: DependentKey,
  cluster: ClusterState,
  context: ReconcileContext & ExperimentContext,
): Step | undefined {
  const name = key.slice(key.indexOf('/') + 1)
  if (key.startsWith('pipeline/')) {
    const pipeline = cluster.pipeline(name)
    return pipeline && toStep('pipeline', pipeline, reconcilePipeline(pipeline, cluster, context))
  }
  const experiment = cluster.experiment(name)
  return experiment && toStep('experiment', experiment, reconcileExperiment(experiment, cluster, context))
}

function toStep<Kind extends 'pipeline' | 'experiment'>(
  kind: Kind,
  before: DocumentByKind[Kind],
  { document, events, remove, wakeAtMs }: DependentReconciliation<DocumentByKind[Kind]>,
): Step {
  const { name, revision: expectedRevision } = before
  const isChanged = remove || document !== undefined
  const write = { kind, name, expectedRevision, document: remove ? undefined : document } as Write
  return {
    writes: [
      ...(isChanged ? [write] : []),
      ...events.map((event): Write => ({ kind: 'event', subject: `${kind}/${name}`, event })),
    ],
    ...(wakeAtMs === undefined ? {} : { wakeAtMs }),
  }
}
