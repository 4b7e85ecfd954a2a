/**
 * Routes that an Envoy refused become part of the model's record, so that it says why and is not taken for available:
 * a refused route counts as answered in what nodes have ACKed (I2). The leader writes it; another scheduler tells the
 * leader over the board of ACKs until the record says so.
 */
import { backoffMs, pause } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { Refusal } from '../../xds/index.ts'
import type { ClusterState } from '../domain/cluster.ts'
import { refuseRoute } from '../domain/model-change.ts'
import { refusePipelineRoute } from '../domain/pipeline/change.ts'
import { toPipelineName } from '../domain/pipeline/target.ts'
import type { NodeAck } from '../domain/store.ts'
import type { Plan, Request } from './writer.ts'

const RETRY = { minMs: 50, maxMs: 1_000 }

export interface RefusalsDeps {
  readonly submit: <T>(request: Request<T>) => Promise<T>
  readonly cluster: ClusterState
  readonly isLeading: () => boolean
  readonly log: Logger
}

export interface Refusals extends Running {
  readonly note: (refusal: Pick<Refusal, 'node' | 'kind' | 'key' | 'reason'>) => void
  /** What a node refused that no record tells of yet. */
  readonly of: (node: string) => NonNullable<NodeAck['refused']>
}

interface Pending {
  readonly node: string
  readonly target: string
  readonly reason: string
}

export function startRefusals(deps: RefusalsDeps): Refusals {
  const { cluster } = deps
  const abort = new AbortController()
  const pending = new Map<string, Pending>() // by target, so at most one each
  let writing: Promise<void> | undefined

  const isTold = (refusal: Pending): boolean => planRefusal(cluster, refusal).writes.length === 0

  async function write(): Promise<void> {
    for (let attempt = 0; pending.size > 0 && !abort.signal.aborted; attempt += 1) {
      for (const refusal of pending.values()) if (isTold(refusal)) pending.delete(refusal.target)
      const [refusal] = pending.values()
      if (refusal === undefined) return
      if (deps.isLeading() && (await submitted(refusal))) attempt = -1
      else await pause(backoffMs(attempt, RETRY), abort.signal)
    }
  }

  async function submitted(refusal: Pending): Promise<boolean> {
    try {
      await deps.submit({ plan: (state) => planRefusal(state, refusal) })
      return true
    } catch (error) {
      deps.log.debug({ model: refusal.target, error: toServingError(error).message }, 'refused route not written yet')
      return false
    }
  }

  return {
    note: ({ node, kind, key, reason }) => {
      if (kind !== 'route' || key === undefined) return // logged by the xds server
      pending.set(key, { node, target: key, reason })
      writing ??= write().finally(() => {
        writing = undefined
      })
    },
    of: (node) =>
      [...pending.values()]
        .filter((refusal) => refusal.node === node)
        .map(({ target, reason }) => ({ target, reason })),
    stop: async () => {
      abort.abort()
      await writing
    },
  }
}

/** Nothing to write when the record tells of it, or the route is gone. */
function planRefusal(cluster: ClusterState, { node, target, reason }: Pending): Plan<undefined> {
  const pipeline = cluster.pipeline(toPipelineName(target) ?? '')
  if (pipeline?.route !== undefined) {
    const document = refusePipelineRoute(pipeline, `${reason} (node ${node})`)
    const expectedRevision = pipeline.revision
    return { writes: [{ kind: 'pipeline', name: pipeline.name, expectedRevision, document }], answer: undefined }
  }
  const model = cluster.model(target)
  const text = `${reason} (node ${node})`
  if (model?.route === undefined || model.refused === text) return { writes: [], answer: undefined }
  const document = refuseRoute(model, text)
  return { writes: [{ kind: 'model', name: target, expectedRevision: model.revision, document }], answer: undefined }
}
