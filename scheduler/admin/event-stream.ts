/** One watcher over server-sent events. What waits for a slow one is names (see `operations/subscription.ts`). */
import type { ServerResponse } from 'node:http'
import type { Kind } from '../../api/resources/resource.ts'
import { namesIn } from '../operations/kinds.ts'
import { startSubscription } from '../operations/subscription.ts'
import type { Backend } from './backend.ts'
import type { LabelSelector } from './label-selector.ts'

const HEARTBEAT_MS = 15_000
/** Changes of one resource within this time become one event. */
const DELAY_MS = 20

export interface Watch {
  readonly kind: Kind
  readonly isWanted: (name: string) => boolean
  readonly selector: LabelSelector
  /** What the watcher was told last, when it was here before. */
  readonly lastEventId: string | undefined
  readonly heartbeatMs?: number
}

/**
 * `reset` (forget everything), `state` per resource and `synced` at first, unless the watcher goes on from where it was; then `state` and
 * `deleted` as they come. An id stands only where everything up to it has been sent. Returns how to end it.
 */
export function startEventStream(response: ServerResponse, watch: Watch, backend: Backend): () => void {
  const { operations, position } = backend
  const { kind, lastEventId } = watch
  const missed = lastEventId === undefined ? undefined : backend.changesSince(kind, lastEventId)
  const told = missed === undefined ? new Set<string>() : undefined // of one that goes on it is not known
  let isSynced = false
  let sentPosition = ''

  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    connection: 'keep-alive',
    'x-accel-buffering': 'no',
  })
  if (missed === undefined) response.write(toEvent('reset', { kind }))

  function render(name: string, change: Parameters<typeof operations.lastOf>[2]): string | undefined {
    const resource = operations.find(kind, name)
    if (resource !== undefined && watch.selector(resource.metadata.labels ?? {})) {
      told?.add(name)
      return toEvent('state', resource)
    }
    const wasTold = told?.delete(name) ?? true
    return wasTold ? toEvent('deleted', operations.lastOf(kind, name, change)) : undefined
  }

  function sayPosition(): void {
    const now = position()
    if (!isSynced) response.write(`id: ${now}\n${toEvent('synced', { kind, revision: backend.revision() })}`)
    else if (now !== sentPosition) response.write(`id: ${now}\n\n`)
    isSynced = true
    sentPosition = now
  }

  const heartbeat = setInterval(() => {
    if (!response.writableNeedDrain) response.write(': heartbeat\n\n')
  }, watch.heartbeatMs ?? HEARTBEAT_MS)
  const end = startSubscription<string>(
    {
      feed: backend.feed,
      replay: missed?.filter(watch.isWanted) ?? operations.namesOf(kind).filter(watch.isWanted),
      namesOf: (change) => namesIn(kind, change).filter(watch.isWanted),
      render,
      delayMs: DELAY_MS,
    },
    {
      write: (event) => response.write(event),
      onceDrained: (goOn) => {
        response.once('drain', goOn)
      },
      fail: () => {
        response.destroy()
      },
      caughtUp: sayPosition,
    },
  )
  return () => {
    clearInterval(heartbeat)
    end()
  }
}

const toEvent = (event: string, data: object): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
