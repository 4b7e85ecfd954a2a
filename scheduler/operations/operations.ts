/**
 * What our own administration API can do, whatever carries it: gRPC (`scheduler/grpc/`) and REST (`scheduler/admin/`) only
 * translate. An answer to a write means that it is in Redis.
 */
import { type Kind, type Resource, warningsOf } from '../../api/resources/resource.ts'
import type { ResourceEvent, StoredResource } from '../../api/resources/status.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { EventDocument } from '../domain/documents.ts'
import type { Store } from '../domain/store.ts'
import type { ControlPlane } from '../loop/control-plane.ts'
import { describeAwaited } from '../loop/readiness.ts'
import { type ApplyOutcome, planApplyResource, renderPlanned } from './apply-resource.ts'
import { planRollback, type RolledBack } from './changes.ts'
import { planRollbackPipeline } from './dependent-changes.ts'
import { accessKinds } from './kinds.ts'
import { createUid } from './uid.ts'

const DEFAULT_PAGE = 500
export const MAX_PAGE = 5_000

export interface OperationsDeps {
  readonly controlPlane: ControlPlane
  readonly store: Pick<Store, 'events'>
  readonly now: () => number
}

export interface Applied {
  readonly outcome: ApplyOutcome
  readonly resource: StoredResource
  readonly warnings: readonly string[]
}

export interface Page {
  readonly resources: readonly StoredResource[]
  /** Give as `after` for the next page; empty at the end. */
  readonly next: string
}

export interface PageRequest {
  /** Names after this one. */
  readonly after: string
  /** 0: as many as are usual. */
  readonly limit: number
  readonly isWanted?: (labels: Readonly<Record<string, string>>) => boolean
}

export interface Operations {
  /** Generation 0 is not checked. @throws ServingError listing everything wrong, VERSION_CONFLICT, or what a write throws */
  readonly apply: (
    resource: Resource,
    options: { readonly dryRun: boolean; readonly expectedGeneration: number },
  ) => Promise<Applied>
  /** @throws ServingError MODEL_NOT_FOUND, SERVER_NOT_FOUND, ... */
  readonly get: (kind: Kind, name: string) => StoredResource
  readonly events: (kind: Kind, name: string) => Promise<readonly ResourceEvent[]>
  readonly list: (kind: Kind, page: PageRequest) => Page
  readonly remove: (kind: Kind, name: string, force: boolean) => Promise<void>
  /** Version 0 is the one before the latest. */
  readonly rollback: (kind: 'Model' | 'Pipeline', name: string, version: number) => Promise<RolledBack>
  /** Undefined when it does not exist. */
  readonly find: (kind: Kind, name: string) => StoredResource | undefined
  /** Sorted. */
  readonly namesOf: (kind: Kind) => readonly string[]
  /** The last that can be said of what is gone. */
  readonly lastOf: (kind: Kind, name: string, last: DocumentChange | undefined) => object
}

export function createOperations({ controlPlane, store, now }: OperationsDeps): Operations {
  const { cluster } = controlPlane

  const kinds = accessKinds({ cluster, awaitedOf: (server) => awaitedOf(controlPlane, server), now })

  const find = (kind: Kind, name: string): StoredResource | undefined => {
    const resource = kinds[kind].find(name)
    const lagRecords = lagOf(controlPlane, kind, name)
    if (resource === undefined || lagRecords === undefined) return resource
    return { ...resource, status: { ...resource.status, lagRecords } } as StoredResource
  }
  const get = (kind: Kind, name: string): StoredResource => {
    const resource = find(kind, name)
    if (resource !== undefined) return resource
    throw new ServingError(kinds[kind].notFound, `${kind} ${name} does not exist`)
  }

  return {
    apply: async (resource, { dryRun, expectedGeneration }) => {
      const { kind, metadata } = resource
      const uid = createUid()
      const plan = () => planApplyResource(cluster, resource, expectedGeneration, { nowMs: now(), uid })
      const warnings = warningsOf(resource)
      if (dryRun) {
        const planned = plan()
        return {
          outcome: planned.answer,
          resource: renderPlanned(cluster, planned, () => get(kind, metadata.name)),
          warnings,
        }
      }
      const outcome = await controlPlane.submit({ plan })
      if (kind === 'Model') controlPlane.kick([metadata.name])
      return { outcome, resource: get(kind, metadata.name), warnings }
    },
    get,
    events: async (kind, name) => {
      try {
        return (await store.events(`${kinds[kind].noun}/${name}`)).map(toEvent)
      } catch (error) {
        // Without Redis the resource can still be told, its history cannot; it says so itself.
        const { message, code } = toServingError(error)
        return [{ atMs: now(), type: 'Warning', reason: code, message: `events cannot be read: ${message}` }]
      }
    },
    list: (kind, { after, limit, isWanted = () => true }) => {
      const size = limit === 0 ? DEFAULT_PAGE : Math.min(limit, MAX_PAGE)
      const { names: allNames, labels } = kinds[kind]
      const names = allNames().filter((name) => name > after && isWanted(labels(name)))
      const page = names.slice(0, size)
      return {
        resources: page.flatMap((name) => find(kind, name) ?? []),
        next: names.length > size ? (page.at(-1) ?? '') : '',
      }
    },
    remove: (kind, name, force) => controlPlane.submit({ plan: (state) => kinds[kind].planDelete(state, name, force) }),
    rollback: (kind, name, version) => {
      const wanted = version === 0 ? undefined : version
      const uid = createUid()
      return controlPlane.submit({
        plan: (state) =>
          kind === 'Model'
            ? planRollback(state, name, wanted, now())
            : planRollbackPipeline(state, name, wanted, { nowMs: now(), uid }),
      })
    },
    find,
    namesOf: (kind) => kinds[kind].names(),
    lastOf: (kind, name, last) =>
      (last === undefined ? undefined : kinds[kind].before(last)) ?? { kind, metadata: { name }, spec: {} },
  }
}

/** Undefined: the server's replicas are not waited for. */
function awaitedOf(controlPlane: ControlPlane, server: string): string | undefined {
  const role = controlPlane.role()
  const awaited = role.kind === 'leading' ? role.run.readiness.awaited() : []
  const entry = awaited.find((candidate) => candidate.server === server)
  return entry && describeAwaited([entry])
}

/** Undefined on a scheduler that does not lead: workers tell the leader. */
function lagOf(controlPlane: ControlPlane, kind: Kind, name: string): number | undefined {
  const role = controlPlane.role()
  return role.kind === 'leading' ? role.run.dataflow.lagOf(kind, name) : undefined
}

const toEvent = (event: EventDocument): ResourceEvent => ({
  atMs: event.atMs,
  type: event.kind === 'warning' ? 'Warning' : 'Normal',
  reason: event.reason,
  message: event.message,
})
