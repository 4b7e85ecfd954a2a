/**
 * Brings what one agent says into the store, in order: which models it has, who it is, how its server is. Later reports
 * of the same model replace earlier ones that were not written yet, so what waits is bounded by the number of models.
 */
import type { Hello__Output } from '../../api/generated/millrace/agent/v1/Hello.ts'
import type { ObservedModel__Output } from '../../api/generated/millrace/agent/v1/ObservedModel.ts'
import type { ServerHealth__Output } from '../../api/generated/millrace/agent/v1/ServerHealth.ts'
import { backoffMs, pause } from '../../kit/backoff.ts'
import { type ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { InternalName, ReplicaDocument, ReplicaKey } from '../domain/documents.ts'
import type { Write } from '../domain/store.ts'
import { MAX_PLAN_WRITES, type Plan, type Request } from '../loop/writer.ts'
import { writeReplica } from './replica-write.ts'
import { sameObserved, toHealth, toObservedDocument, toReplicaDocument } from './messages.ts'

const RETRY = { minMs: 50, maxMs: 1_000 }

export interface ReporterDeps {
  readonly replica: ReplicaKey
  readonly submit: <T>(request: Request<T>) => Promise<T>
  readonly cluster: ClusterState
  readonly now: () => number
  /** Called at the commit that introduced the replica, with the documents exactly as committed. */
  readonly onIntroduced: () => void
  /** The reports cannot be written here any more. */
  readonly onFailed: (error: ServingError) => void
  readonly signal: AbortSignal
  readonly log: Logger
}

export interface Reporter {
  readonly introduce: (hello: Hello__Output, keepsDraining: boolean) => void
  readonly observed: (models: readonly ObservedModel__Output[]) => void
  readonly health: (health: ServerHealth__Output) => void
  readonly drain: () => void
}

type ReplicaEdit = (before: ReplicaDocument | undefined) => ReplicaDocument | undefined

interface PendingEdit {
  readonly edit: ReplicaEdit
  readonly introduces: boolean
}

export function createReporter(deps: ReporterDeps): Reporter {
  const { replica, cluster, now } = deps
  const models = new Map<InternalName, ObservedModel__Output | 'gone'>()
  let edits: PendingEdit[] = []
  let flushing = false

  const note = (reports: readonly ObservedModel__Output[]): void => {
    for (const report of reports) {
      if (/^[^_]+_\d+$/.test(report.internalName)) models.set(report.internalName as InternalName, report)
      else deps.log.warn({ model: report.internalName }, 'agent reports a name that is no model version')
    }
  }
  /** Edits made while one waits become one; what introduces the replica stays first. */
  const queueEdit = (edit: ReplicaEdit, introduces = false): void => {
    edits = introduces ? [{ edit, introduces }] : [...edits, { edit, introduces }]
    if (edits.length > 2) edits = [edits[0], chain(edits.slice(1))].filter((entry) => entry !== undefined)
    void flush()
  }

  function planModels(names: readonly InternalName[]): Plan<undefined> {
    const writes = names.flatMap((name): Write[] => {
      const report = models.get(name)
      const document = report === undefined || report === 'gone' ? undefined : toObservedDocument(report, now())
      if (sameObserved(cluster.observed(replica, name), document)) return []
      return [{ kind: 'observed', replica, name, document }]
    })
    return { writes, answer: undefined }
  }

  function planEdit({ edit }: PendingEdit): Plan<undefined> {
    const before = cluster.replica(replica)
    const document = edit(before)
    return { writes: document === undefined ? [] : writeReplica(before, document, now()), answer: undefined }
  }

  async function flush(): Promise<void> {
    if (flushing) return
    flushing = true
    try {
      while (!deps.signal.aborted && (models.size > 0 || edits.length > 0)) await flushOnce()
    } catch (error) {
      deps.onFailed(toServingError(error))
    } finally {
      flushing = false
    }
  }

  async function flushOnce(): Promise<void> {
    const taken = new Map([...models].slice(0, MAX_PLAN_WRITES))
    if (taken.size > 0) {
      await persist({ plan: () => planModels([...taken.keys()]) })
      for (const [name, report] of taken) if (models.get(name) === report) models.delete(name)
      return
    }
    const [next] = edits
    if (next === undefined) return
    await persist({ plan: () => planEdit(next), ...(next.introduces ? { onCommitted: deps.onIntroduced } : {}) })
    edits = edits.filter((entry) => entry !== next)
  }

  /** Until it is written; what an agent said is true whether or not Redis can be reached. */
  async function persist(request: Request<undefined>): Promise<void> {
    for (let attempt = 0; !deps.signal.aborted; attempt += 1) {
      try {
        await deps.submit(request)
        return
      } catch (error) {
        if (toServingError(error).code !== 'STORE_UNAVAILABLE') throw error
        await pause(backoffMs(attempt, RETRY), deps.signal)
      }
    }
  }

  return {
    introduce: (hello, keepsDraining) => {
      const reported = new Set(hello.models.map((model) => model.internalName))
      for (const name of cluster.observedOn(replica).keys()) if (!reported.has(name)) models.set(name, 'gone')
      note(hello.models)
      queueEdit((before) => toReplicaDocument(replica, hello, before, keepsDraining, now()), true)
    },
    observed: (reports) => {
      note(reports)
      void flush()
    },
    health: (message) => {
      queueEdit((before) => before && { ...before, health: toHealth(message, before.health, now()) })
    },
    drain: () => {
      queueEdit((before) => before && { ...before, draining: true })
    },
  }
}

function chain(edits: readonly PendingEdit[]): PendingEdit {
  return {
    introduces: false,
    edit: (before) =>
      edits.reduce<ReplicaDocument | undefined>((document, { edit }) => edit(document) ?? document, before),
  }
}
