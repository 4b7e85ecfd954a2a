/**
 * What our own administration API can do, whatever carries it: gRPC (`scheduler/grpc/`) and REST (`scheduler/admin/`) only
 * translate. An answer to a write means that it is in Redis.
 */
import { KINDS, type Kind, type Resource, warningsOf } from '../../api/resources/resource.ts'
import type { ResourceEvent, StoredResource } from '../../api/resources/status.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { EventDocument } from '../domain/documents.ts'
import { parseInternalName, parseReplicaKey } from '../domain/names.ts'
import type { Store } from '../domain/store.ts'
import type { ControlPlane } from '../loop/control-plane.ts'
import { describeAwaited } from '../loop/readiness.ts'
import { type ApplyOutcome, planApplyResource, renderPlanned } from './apply-resource.ts'
import { planDeleteModel, planDeleteServer, planRollback, refuseMassRemoval, type RolledBack } from './changes.ts'
import { labelsOfServer, toModelResource, toServerResource } from './resources.ts'

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
  /** @throws ServingError MODEL_NOT_FOUND, SERVER_NOT_FOUND */
  readonly get: (kind: Kind, name: string) => StoredResource
  readonly events: (kind: Kind, name: string) => Promise<readonly ResourceEvent[]>
  readonly list: (kind: Kind, page: PageRequest) => Page
  readonly remove: (kind: Kind, name: string, force: boolean) => Promise<void>
  /** Version 0 is the one before the latest. */
  readonly rollback: (model: string, version: number) => Promise<RolledBack>
  /** Undefined when it does not exist. */
  readonly find: (kind: Kind, name: string) => StoredResource | undefined
  /** Sorted. */
  readonly namesOf: (kind: Kind) => readonly string[]
  readonly labelsOf: (kind: Kind, name: string) => Readonly<Record<string, string>>
  /** The last that can be said of what is gone. */
  readonly lastOf: (kind: Kind, name: string, last: DocumentChange | undefined) => object
}

export function createOperations({ controlPlane, store, now }: OperationsDeps): Operations {
  const { cluster } = controlPlane

  const find = (kind: Kind, name: string): StoredResource | undefined => {
    if (kind === 'Server') return toServerResource(name, cluster, awaitedOf(controlPlane, name))
    const model = cluster.model(name)
    return model && toModelResource(model, cluster)
  }
  const get = (kind: Kind, name: string): StoredResource => {
    const resource = find(kind, name)
    if (resource !== undefined) return resource
    throw new ServingError(`${kind === 'Model' ? 'MODEL' : 'SERVER'}_NOT_FOUND`, `${kind} ${name} does not exist`)
  }
  const namesOf = (kind: Kind): readonly string[] =>
    kind === 'Server' ? cluster.serverNames() : [...cluster.models()].map((model) => model.name).toSorted()
  const labelsOf = (kind: Kind, name: string): Readonly<Record<string, string>> =>
    kind === 'Server' ? labelsOfServer(cluster.server(name)) : (cluster.model(name)?.labels ?? {})

  return {
    apply: async (resource, { dryRun, expectedGeneration }) => {
      const { kind, metadata } = resource
      const plan = () => planApplyResource(cluster, resource, expectedGeneration, now())
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
        const subject = kind === 'Model' ? (`model/${name}` as const) : (`server/${name}` as const)
        return (await store.events(subject)).map(toEvent)
      } catch (error) {
        // Without Redis the resource can still be told, its history cannot; it says so itself.
        const { message, code } = toServingError(error)
        return [{ atMs: now(), type: 'Warning', reason: code, message: `events cannot be read: ${message}` }]
      }
    },
    list: (kind, { after, limit, isWanted = () => true }) => {
      const size = limit === 0 ? DEFAULT_PAGE : Math.min(limit, MAX_PAGE)
      const names = namesOf(kind).filter((name) => name > after && isWanted(labelsOf(kind, name)))
      const page = names.slice(0, size)
      return {
        resources: page.flatMap((name) => find(kind, name) ?? []),
        next: names.length > size ? (page.at(-1) ?? '') : '',
      }
    },
    remove: (kind, name, force) =>
      controlPlane.submit({
        plan: (state) => {
          if (kind === 'Server') return planDeleteServer(state, name)
          if (!force) refuseMassRemoval(state, name)
          return planDeleteModel(state, name, now())
        },
      }),
    rollback: (model, version) =>
      controlPlane.submit({
        plan: (state) => planRollback(state, model, version === 0 ? undefined : version, now()),
      }),
    find,
    namesOf,
    labelsOf,
    lastOf: (kind, name, last) => {
      const before = last?.kind === 'model' && last.before !== undefined ? toModelResource(last.before, cluster) : null
      return before ?? { kind, metadata: { name }, spec: {} }
    },
  }
}

/** @throws ServingError REQUEST_INVALID */
export function parseKind(kind: string): Kind {
  const known = KINDS.find((candidate) => candidate === kind)
  if (known !== undefined) return known
  throw new ServingError('REQUEST_INVALID', `kind ${JSON.stringify(kind)} is not known: use ${KINDS.join(' or ')}`)
}

/** Of a kind, what a change concerns. */
export function namesIn(kind: Kind, change: DocumentChange): readonly string[] {
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

const toEvent = (event: EventDocument): ResourceEvent => ({
  atMs: event.atMs,
  type: event.kind === 'warning' ? 'Warning' : 'Normal',
  reason: event.reason,
  message: event.message,
})
