/**
 * Routes that an Envoy refused become part of the model's record, so that it says why and is not taken for available:
 * a refused route counts as answered in what nodes have ACKed (I2).
 */
import { backoffMs, pause } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { Refusal } from '../../xds/index.ts'
import type { ClusterState } from '../domain/cluster.ts'
import { refuseRoute } from '../domain/model-change.ts'
import type { Plan, Request } from './writer.ts'

const RETRY = { minMs: 50, maxMs: 1_000 }

export interface RefusalsDeps {
  readonly submit: <T>(request: Request<T>) => Promise<T>
  readonly log: Logger
}

export interface Refusals extends Running {
  readonly note: (refusal: Refusal) => void
}

export function startRefusals(deps: RefusalsDeps): Refusals {
  const abort = new AbortController()
  const pending = new Map<string, string>() // by model, so at most one each
  let writing: Promise<void> | undefined

  async function write(): Promise<void> {
    for (let attempt = 0; pending.size > 0 && !abort.signal.aborted; attempt += 1) {
      const [entry] = pending
      if (entry === undefined) return
      const [model, reason] = entry
      try {
        await deps.submit({ plan: (cluster) => planRefusal(cluster, model, reason) })
        if (pending.get(model) === reason) pending.delete(model)
        attempt = 0
      } catch (error) {
        deps.log.debug({ model, error: toServingError(error).message }, 'refused route not written yet')
        await pause(backoffMs(attempt, RETRY), abort.signal)
      }
    }
  }

  return {
    note: ({ kind, key, node, reason }) => {
      if (kind !== 'route' || key === undefined) return // logged by the xds server
      pending.set(key, `${reason} (node ${node})`)
      writing ??= write().finally(() => {
        writing = undefined
      })
    },
    stop: async () => {
      abort.abort()
      await writing
    },
  }
}

function planRefusal(cluster: ClusterState, name: string, reason: string): Plan<undefined> {
  const model = cluster.model(name)
  if (model?.route === undefined || model.refused === reason) return { writes: [], answer: undefined }
  const document = refuseRoute(model, reason)
  return { writes: [{ kind: 'model', name, expectedRevision: model.revision, document }], answer: undefined }
}
