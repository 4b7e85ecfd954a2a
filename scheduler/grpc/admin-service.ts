/** Our own administration API. Handlers only translate; an answer to a write means that it is in Redis. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import type { AdminHandlers } from '../../api/generated/millrace/admin/v1/Admin.ts'
import type { Event } from '../../api/generated/millrace/admin/v1/Event.ts'
import type { WatchRequest__Output } from '../../api/generated/millrace/admin/v1/WatchRequest.ts'
import type { WatchResponse } from '../../api/generated/millrace/admin/v1/WatchResponse.ts'
import { KINDS, type Kind, parseResource, warningsOf } from '../../api/resources/resource.ts'
import type { StoredResource } from '../../api/resources/status.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { EventDocument } from '../domain/documents.ts'
import { parseInternalName, parseReplicaKey } from '../domain/names.ts'
import type { Store } from '../domain/store.ts'
import type { ControlPlane } from '../loop/control-plane.ts'
import type { Feed } from '../loop/feed.ts'
import { describeAwaited } from '../loop/readiness.ts'
import { ownStatus, streaming, unary } from './answer.ts'
import { planApplyResource, renderPlanned } from './apply-resource.ts'
import { planDeleteModel, planDeleteServer, planRollback, refuseMassRemoval } from './changes.ts'
import { toModelResource, toServerResource } from './resources.ts'
import { serveSubscription } from './subscription.ts'

const DEFAULT_PAGE = 500
const MAX_PAGE = 5_000
/** Changes of one resource within this time become one message. */
const WATCH_DELAY_MS = 20

export interface AdminServiceDeps {
  readonly controlPlane: ControlPlane
  readonly feed: Feed
  readonly store: Pick<Store, 'events'>
  readonly now: () => number
}

export function createAdminService(deps: AdminServiceDeps): AdminHandlers {
  const { controlPlane, now } = deps
  const { cluster } = controlPlane

  const render = (kind: Kind, name: string): StoredResource | undefined => {
    if (kind === 'Server') return toServerResource(name, cluster, awaitedOf(controlPlane, name))
    const model = cluster.model(name)
    return model && toModelResource(model, cluster)
  }
  const require = (kind: Kind, name: string): StoredResource => {
    const resource = render(kind, name)
    if (resource !== undefined) return resource
    throw new ServingError(`${kind === 'Model' ? 'MODEL' : 'SERVER'}_NOT_FOUND`, `${kind} ${name} does not exist`)
  }

  return {
    Apply: unary(ownStatus, async ({ resourceJson, dryRun, expectedGeneration }) => {
      const resource = parseResource(parseJson(resourceJson))
      const { kind, metadata } = resource
      const plan = () => planApplyResource(cluster, resource, Number(expectedGeneration), now())
      const warnings = [...warningsOf(resource)]
      if (dryRun) {
        const planned = plan()
        const after = renderPlanned(cluster, planned, () => render(kind, metadata.name))
        return { outcome: planned.answer, resourceJson: JSON.stringify(after), warnings }
      }
      const outcome = await controlPlane.submit({ plan })
      if (kind === 'Model') controlPlane.kick([metadata.name])
      return { outcome, resourceJson: JSON.stringify(require(kind, metadata.name)), warnings }
    }),
    Get: unary(ownStatus, async ({ kind, name }) => {
      const known = parseKind(kind)
      const resource = require(known, name)
      return { resourceJson: JSON.stringify(resource), events: await eventsOf(deps, known, name) }
    }),
    List: unary(ownStatus, ({ kind, after, limit }) => {
      const known = parseKind(kind)
      const size = limit === 0 ? DEFAULT_PAGE : Math.min(limit, MAX_PAGE)
      const names = namesOf(controlPlane, known).filter((name) => name > after)
      const page = names.slice(0, size)
      return {
        resourceJson: page.flatMap((name) => JSON.stringify(render(known, name)) ?? []),
        next: names.length > size ? (page.at(-1) ?? '') : '',
      }
    }),
    Delete: unary(ownStatus, async ({ kind, name, force }) => {
      const known = parseKind(kind)
      await controlPlane.submit({
        plan: (state) => {
          if (known === 'Server') return planDeleteServer(state, name)
          if (!force) refuseMassRemoval(state, name)
          return planDeleteModel(state, name, now())
        },
      })
      return {}
    }),
    Rollback: unary(ownStatus, ({ name, version }) =>
      controlPlane.submit({
        plan: (state) => planRollback(state, name, version === 0 ? undefined : version, now()),
      }),
    ),
    Watch: streaming(
      ownStatus,
      ({ kind, name }: WatchRequest__Output, stream: ServerWritableStream<WatchRequest__Output, WatchResponse>) => {
        const known = parseKind(kind)
        if (name !== '') require(known, name)
        const wanted = (candidate: string): boolean => name === '' || candidate === name
        serveSubscription<WatchRequest__Output, WatchResponse>(stream, {
          feed: deps.feed,
          replay: namesOf(controlPlane, known).filter(wanted),
          namesOf: (change) => namesIn(known, change).filter(wanted),
          render: (candidate, last) => {
            const resource = render(known, candidate)
            if (resource !== undefined) return { resourceJson: JSON.stringify(resource), deleted: false }
            const before =
              last?.kind === 'model' && last.before !== undefined ? toModelResource(last.before, cluster) : null
            return {
              resourceJson: JSON.stringify(before ?? { kind: known, metadata: { name: candidate }, spec: {} }),
              deleted: true,
            }
          },
          delayMs: WATCH_DELAY_MS,
        })
      },
    ),
  }
}

function parseKind(kind: string): Kind {
  const known = KINDS.find((candidate) => candidate === kind)
  if (known !== undefined) return known
  throw new ServingError('REQUEST_INVALID', `kind ${JSON.stringify(kind)} is not known: use ${KINDS.join(' or ')}`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('MANIFEST_INVALID', `resource_json is not JSON: ${reason}`, { cause: error })
  }
}

/** Sorted, so that pages can go on after a name. */
function namesOf({ cluster }: ControlPlane, kind: Kind): readonly string[] {
  return kind === 'Server' ? cluster.serverNames() : [...cluster.models()].map((model) => model.name).toSorted()
}

function namesIn(kind: Kind, change: DocumentChange): string[] {
  switch (change.kind) {
    case 'model':
      return kind === 'Model' ? [change.name] : []
    case 'server':
      return kind === 'Server' ? [change.name] : []
    case 'replica':
      return kind === 'Server' ? [parseReplicaKey(change.name).server] : []
    case 'observed':
      return [kind === 'Model' ? parseInternalName(change.name).model : parseReplicaKey(change.replica).server]
  }
}

/** Undefined: the server's replicas are not waited for. */
function awaitedOf(controlPlane: ControlPlane, server: string): string | undefined {
  const role = controlPlane.role()
  const awaited = role.kind === 'leading' ? role.run.readiness.awaited() : []
  const entry = awaited.find((candidate) => candidate.server === server)
  return entry && describeAwaited([entry])
}

/** Without Redis the resource can still be told, its history cannot; it says so itself. */
async function eventsOf(deps: AdminServiceDeps, kind: Kind, name: string): Promise<Event[]> {
  try {
    const subject = kind === 'Model' ? (`model/${name}` as const) : (`server/${name}` as const)
    return (await deps.store.events(subject)).map(toEvent)
  } catch (error) {
    const { message, code } = toServingError(error)
    return [{ atMs: deps.now(), type: 'Warning', reason: code, message: `events cannot be read: ${message}` }]
  }
}

const toEvent = (event: EventDocument): Event => ({
  atMs: event.atMs,
  type: event.kind === 'warning' ? 'Warning' : 'Normal',
  reason: event.reason,
  message: event.message,
})
