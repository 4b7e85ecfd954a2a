/** Our own administration API over gRPC. Handlers only translate. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import type { AdminHandlers } from '../../api/generated/millrace/admin/v1/Admin.ts'
import type { WatchRequest__Output } from '../../api/generated/millrace/admin/v1/WatchRequest.ts'
import type { WatchResponse } from '../../api/generated/millrace/admin/v1/WatchResponse.ts'
import { parseResource } from '../../api/resources/resource.ts'
import { ServingError } from '../../kit/errors.ts'
import { toWorker, type WorkerReport } from '../dataflow/workers.ts'
import type { Feed } from '../loop/feed.ts'
import { namesIn, parseKind } from '../operations/kinds.ts'
import type { Operations } from '../operations/operations.ts'
import { ownStatus, streaming, unary } from './answer.ts'
import { serveSubscription } from './subscription.ts'

/** Changes of one resource within this time become one message. */
const WATCH_DELAY_MS = 20

export function createAdminService(
  operations: Operations,
  feed: Feed,
  /** Undefined: this scheduler does not lead. */
  workers: () => readonly WorkerReport[] | undefined,
): AdminHandlers {
  return {
    Apply: unary(ownStatus, async ({ resourceJson, dryRun, expectedGeneration }) => {
      const resource = parseResource(parseJson(resourceJson))
      const applied = await operations.apply(resource, { dryRun, expectedGeneration: Number(expectedGeneration) })
      return {
        outcome: applied.outcome,
        resourceJson: JSON.stringify(applied.resource),
        warnings: [...applied.warnings],
      }
    }),
    Get: unary(ownStatus, async ({ kind, name }) => {
      const known = parseKind(kind)
      const resource = operations.get(known, name)
      return { resourceJson: JSON.stringify(resource), events: [...(await operations.events(known, name))] }
    }),
    List: unary(ownStatus, ({ kind, after, limit }) => {
      const { resources, next } = operations.list(parseKind(kind), { after, limit })
      return { resourceJson: resources.map((resource) => JSON.stringify(resource)), next }
    }),
    Delete: unary(ownStatus, async ({ kind, name, force }) => {
      await operations.remove(parseKind(kind), name, force)
      return {}
    }),
    Rollback: unary(ownStatus, ({ kind, name, version }) =>
      operations.rollback(parseRollbackKind(kind), name, version),
    ),
    ListWorkers: unary(ownStatus, () => {
      const all = workers()
      return { leading: all !== undefined, workerJson: (all ?? []).map((worker) => JSON.stringify(toWorker(worker))) }
    }),
    Watch: streaming(
      ownStatus,
      ({ kind, name }: WatchRequest__Output, stream: ServerWritableStream<WatchRequest__Output, WatchResponse>) => {
        const known = parseKind(kind)
        if (name !== '') operations.get(known, name)
        const wanted = (candidate: string): boolean => name === '' || candidate === name
        serveSubscription<WatchRequest__Output, WatchResponse>(stream, {
          feed,
          replay: operations.namesOf(known).filter(wanted),
          namesOf: (change) => namesIn(known, change).filter(wanted),
          render: (candidate, last) => {
            const resource = operations.find(known, candidate)
            const deleted = resource === undefined
            return { resourceJson: JSON.stringify(resource ?? operations.lastOf(known, candidate, last)), deleted }
          },
          delayMs: WATCH_DELAY_MS,
        })
      },
    ),
  }
}

/** A client of before pipelines names no kind. @throws ServingError REQUEST_INVALID */
function parseRollbackKind(kind: string): 'Model' | 'Pipeline' {
  if (kind === '' || kind === 'Model') return 'Model'
  if (kind === 'Pipeline') return 'Pipeline'
  throw new ServingError('REQUEST_INVALID', `kind ${JSON.stringify(kind)} has no versions: use Model or Pipeline`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('MANIFEST_INVALID', `resource_json is not JSON: ${reason}`, { cause: error })
  }
}
