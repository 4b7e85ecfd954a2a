/**
 * What only the leader does: it takes writes, reconciles, instructs agents and wakes models up. Built at the start of a
 * leadership from the documents in memory, torn down at its end.
 */
import { everyMs } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { type Agents, startAgents } from '../agents/agents.ts'
import { probeReadiness, startProber } from '../agents/prober.ts'
import { type Dataflow, startDataflow } from '../dataflow/dataflow.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import { isDependentKey } from '../domain/index/dependents.ts'
import { DEFAULT_RETRY_POLICY, type ReconcileContext } from '../domain/reconcile/context.ts'
import type { Store } from '../domain/store.ts'
import type { WakeUps } from '../jobs/wake-ups.ts'
import { place } from '../placement/place.ts'
import type { Acks } from './acks.ts'
import { createDependentsReconciler } from './dependents.ts'
import { createMeasurements, followRollouts, type Measurements } from './measurements.ts'
import { hasDrainedAndLeft, planForget } from './forget-replicas.ts'
import type { Metrics } from './metrics.ts'
import { createReadiness, describeAwaited, type Readiness } from './readiness.ts'
import { createReconciler, type WakeUp } from './reconciler.ts'
import { MAX_PLAN_WRITES, startWriter, type Writer } from './writer.ts'

/** Without any Envoy to ask: as long as a connected one may be silent before it does not count any more. */
const NO_NODE_DRAIN_MS = 5_000

export interface LeadershipTimes {
  readonly schedulerReadyTimeoutMs: number
  readonly replicaGraceMs: number
  readonly drainTimeMs: number
  readonly maxConcurrentMoves: number
  /** Between two looks at everything, for what no wake-up came for. */
  readonly sweepMs: number
}

export interface LeadershipDeps {
  readonly store: Store
  readonly storeId: string
  readonly cluster: ClusterState
  readonly acks: Pick<Acks, 'isAcked' | 'heldNodes'>
  readonly times: LeadershipTimes
  /** Whether Envoys can check replicas that speak TLS. */
  readonly trustsTls: boolean
  /** Tells everybody but agents what was committed. */
  readonly publish: (changes: readonly DocumentChange[], revision: number) => void
  readonly resync: () => Promise<void>
  readonly onFenced: () => void
  readonly startWakeUps: (onDue: (key: string) => void) => WakeUps
  readonly metrics: Metrics
  readonly now: () => number
  readonly log: Logger
}

export interface LeadershipRun extends Running {
  readonly submit: Writer['submit']
  readonly agents: Agents
  readonly dataflow: Dataflow
  readonly readiness: Readiness
  readonly measurements: Measurements
  /** Changes that this leader did not write itself were applied. */
  readonly changed: (changes: readonly DocumentChange[]) => void
  /** Reconcile these soon: models by name, `pipeline/<name>`, `experiment/<name>`. */
  readonly mark: (keys: Iterable<string>) => void
  readonly dirtyCount: () => number
}

export function startLeadership(deps: LeadershipDeps): LeadershipRun {
  const { cluster, now, log, times, metrics } = deps
  const abort = new AbortController()
  const noNodeDrainTimeMs = Math.max(NO_NODE_DRAIN_MS, times.drainTimeMs)

  const context = (): ReconcileContext => ({
    nowMs: now(),
    isAcked: deps.acks.isAcked,
    heldNodes: deps.acks.heldNodes,
    drainTimeMs: times.drainTimeMs,
    noNodeDrainTimeMs,
    replicaGraceMs: times.replicaGraceMs,
    mayMove: (server) => readiness.mayMove(server),
    moveBudget: () => cluster.movesInProgress() < times.maxConcurrentMoves,
    retry: DEFAULT_RETRY_POLICY,
    place,
    gateways: dataflow.gateways.view,
    engines: dataflow.enginesView,
    modelGateways: dataflow.modelGatewaysView,
  })
  const schedule = (due: readonly WakeUp[]): void => {
    wakeUps.schedule(due)
  }
  const measurements = createMeasurements({
    onNews: (experiment) => {
      markAndWake(() => {
        dependents.mark([`experiment/${experiment}`])
      })
    },
    now,
  })
  followRollouts(measurements, [...cluster.experiments()])
  const dependents = createDependentsReconciler({
    cluster,
    context: () => ({ measured: measurements.of, ...context() }),
    schedule,
    log,
  })
  const reconciler = createReconciler({
    cluster,
    context,
    schedule,
    onReconciled: (seconds) => {
      metrics.reconcileSeconds.observe(seconds)
    },
    log,
  })
  const changed = (changes: readonly DocumentChange[]): void => {
    for (const change of changes) {
      const isOfOneModel = change.kind === 'model' || change.kind === 'observed'
      const mark = isOfOneModel ? reconciler.mark : reconciler.markLater
      mark(cluster.affectedModels(change))
      dependents.mark(cluster.affectedDependents(change))
    }
    for (const change of changes)
      if (change.kind === 'experiment') followRollouts(measurements, [change.after ?? change.name])
    agents.push(changes)
    dataflow.push(changes)
    if (changes.some(hasDrainedAndLeft)) void forgetReplicas()
  }
  const writer = startWriter({
    store: deps.store,
    cluster,
    fill: (batch) => {
      const filled = [reconciler.fill(batch), dependents.fill(batch)]
      return {
        done: (committed) => {
          for (const { done } of filled) done(committed)
        },
      }
    },
    hasWork: () => reconciler.size() + dependents.size() > 0,
    onChanges: (changes, revision) => {
      deps.publish(changes, revision)
      changed(changes)
    },
    resync: deps.resync,
    onFenced: deps.onFenced,
    onCommit: (outcome, writes) => {
      metrics.commits.inc({ outcome })
      metrics.writes.inc(writes)
    },
    log,
  })
  const markOne = (key: string): void => {
    if (isDependentKey(key)) dependents.mark([key])
    else reconciler.mark([key])
  }
  const markAndWake = (mark: () => void): void => {
    mark()
    writer.wake()
  }
  const agents = startAgents({
    cluster,
    storeId: deps.storeId,
    trustsTls: deps.trustsTls,
    submit: writer.submit,
    mayMove: (server) => readiness.mayMove(server),
    keptDrainTimeMs: noNodeDrainTimeMs,
    onConnected: () => {
      writer.wake()
    },
    now,
    log: log.child({ part: 'agents' }),
  })
  const dataflow = startDataflow({
    cluster,
    storeId: deps.storeId,
    trustsTls: deps.trustsTls,
    submit: writer.submit,
    isAcked: deps.acks.isAcked,
    drainTimeMs: times.drainTimeMs,
    forgetMs: times.replicaGraceMs,
    onSaid: (pipelines) => {
      markAndWake(() => {
        dependents.mark(pipelines)
      })
    },
    onOutage: () => {
      markAndWake(dependents.markAll)
    },
    now,
    log,
  })
  const readiness = createReadiness({
    cluster,
    connectedOf: agents.connectedOf,
    timeoutMs: times.schedulerReadyTimeoutMs,
    now,
  })
  const wakeUps = deps.startWakeUps((key) => {
    markAndWake(() => {
      markOne(key)
    })
  })
  const prober = startProber({ cluster, submit: writer.submit, probe: probeReadiness, now, log })
  const waitEnd = setTimeout(
    () => {
      const awaited = readiness.awaited()
      if (awaited.length > 0) log.warn({ awaited: describeAwaited(awaited) }, 'not waiting for servers any longer')
      markAndWake(reconciler.markAll)
    },
    Math.min(times.schedulerReadyTimeoutMs + 1, 2 ** 31 - 1),
  )
  const sweeping = everyMs(times.sweepMs, abort.signal, async () => {
    dependents.markAll()
    markAndWake(reconciler.sweep)
    await forgetReplicas()
  })

  async function forgetReplicas(): Promise<void> {
    const plan = () => ({
      writes: planForget(cluster, now(), times.replicaGraceMs, MAX_PLAN_WRITES),
      answer: undefined,
    })
    await writer.submit({ plan }).catch((error: unknown) => {
      log.debug({ error: toServingError(error).message }, 'replicas that are gone are kept for now')
    })
  }

  dependents.markAll()
  markAndWake(reconciler.markAll)
  return {
    submit: writer.submit,
    agents,
    dataflow,
    readiness,
    measurements,
    changed,
    mark: (keys) => {
      markAndWake(() => {
        for (const key of keys) markOne(key)
      })
    },
    dirtyCount: () => reconciler.size() + dependents.size(),
    stop: async () => {
      abort.abort()
      clearTimeout(waitEnd)
      await writer.stop()
      await Promise.all([agents.stop(), dataflow.stop(), prober.stop(), wakeUps.stop(), sweeping])
    },
  }
}
