/** The administration API as promises: every call has a deadline, every failure is a ServingError naming the scheduler. */
import type { CallOptions, requestCallback } from '@grpc/grpc-js'
import type { ApplyResponse__Output as ApplyReply } from '../../api/generated/millrace/admin/v1/ApplyResponse.ts'
import type { GetResponse__Output as GetReply } from '../../api/generated/millrace/admin/v1/GetResponse.ts'
import type { ListResponse__Output as ListReply } from '../../api/generated/millrace/admin/v1/ListResponse.ts'
import type { ListWorkersResponse__Output as ListWorkersReply } from '../../api/generated/millrace/admin/v1/ListWorkersResponse.ts'
import type { WatchResponse__Output as WatchReply } from '../../api/generated/millrace/admin/v1/WatchResponse.ts'
import { Admin, GRPC_OPTIONS } from '../../api/grpc.ts'
import type { Kind, Resource } from '../../api/resources/resource.ts'
import { parseStoredResource, type ResourceEvent, type StoredResource } from '../../api/resources/status.ts'
import type { Worker } from '../../api/resources/worker.ts'
import { ServingError } from '../../kit/errors.ts'
import { fromGrpcError } from '../../kit/grpc.ts'
import { PLAIN } from '../../kit/grpc-security.ts'

const DEADLINE_MS = 10_000
const PAGE_SIZE = 1_000
/** A scheduler that was away is found again soon after it is back, however long it was away. */
const MAX_RECONNECT_MS = 2_000

export type ApplyOutcome = 'created' | 'changed' | 'unchanged'
export interface Applied {
  readonly outcome: ApplyOutcome
  readonly resource: StoredResource
  readonly warnings: readonly string[]
}
export interface RolledBack {
  readonly fromVersion: number
  readonly restoredVersion: number
  readonly newVersion: number
}
export type WatchEvent =
  | { readonly kind: 'state'; readonly resource: StoredResource }
  /** `name` is empty when the scheduler did not say whose deletion it was. */
  | { readonly kind: 'deleted'; readonly name: string }

export interface AdminClient {
  apply(resource: Resource, options?: { dryRun?: boolean; expectedGeneration?: number }): Promise<Applied>
  get(kind: Kind, name: string): Promise<{ resource: StoredResource; events: readonly ResourceEvent[] }>
  /** All of a kind, ordered by name, however many pages that takes. */
  list(kind: Kind): Promise<readonly StoredResource[]>
  delete(kind: Kind, name: string, options?: { force?: boolean }): Promise<void>
  /** Version 0 is the one before the latest. */
  rollback(name: string, version: number, kind?: 'Model' | 'Pipeline'): Promise<RolledBack>
  /** Pipeline gateways, engines and model gateways. @throws ServingError when another scheduler leads */
  workers(): Promise<readonly Worker[]>
  /** The current state, then every change, until the signal aborts. Throws when the stream breaks. */
  watch(kind: Kind, name: string, signal: AbortSignal): AsyncIterable<WatchEvent>
  close(): void
}

/** `address` is host:port. Connects on first use. */
export function createAdminClient(address: string, deadlineMs: number = DEADLINE_MS, security = PLAIN): AdminClient {
  const client = new Admin(address, security.credentials, {
    ...GRPC_OPTIONS,
    ...security.options,
    'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_MS,
  })
  const peer = `scheduler ${address}`

  const unary = <T>(send: (options: CallOptions, done: requestCallback<T>) => unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      send({ deadline: Date.now() + deadlineMs }, (error, response) => {
        if (error === null && response !== undefined) resolve(response)
        else reject(fromGrpcError(error, peer))
      })
    })

  return {
    async apply(resource, { dryRun = false, expectedGeneration = 0 } = {}) {
      const request = { resourceJson: JSON.stringify(resource), dryRun, expectedGeneration }
      const response = await unary<ApplyReply>((options, done) => client.apply(request, options, done))
      return {
        outcome: OUTCOMES[response.outcome],
        resource: parseStoredResource(response.resourceJson),
        warnings: response.warnings,
      }
    },
    async get(kind, name) {
      const response = await unary<GetReply>((options, done) => client.get({ kind, name }, options, done))
      const events = response.events.map((event) => ({ ...event, atMs: Number(event.atMs) }))
      return { resource: parseStoredResource(response.resourceJson), events }
    },
    async list(kind) {
      const resources: StoredResource[] = []
      let after = ''
      do {
        const request = { kind, after, limit: PAGE_SIZE }
        const page = await unary<ListReply>((options, done) => client.list(request, options, done))
        resources.push(...page.resourceJson.map(parseStoredResource))
        after = page.next
      } while (after !== '')
      return resources
    },
    async delete(kind, name, { force = false } = {}) {
      await unary((options, done) => client.delete({ kind, name, force }, options, done))
    },
    rollback: (name, version, kind = 'Model') =>
      unary<RolledBack>((options, done) => client.rollback({ kind, name, version }, options, done)),
    async workers() {
      const { leading, workerJson } = await unary<ListWorkersReply>((options, done) =>
        client.listWorkers({}, options, done),
      )
      if (leading) return workerJson.map((json) => JSON.parse(json) as Worker)
      throw new ServingError('NOT_LEADER', `${peer} does not lead: workers are connected to the one that does`)
    },
    async *watch(kind, name, signal) {
      const call = client.watch({ kind, name })
      const cancel = (): void => {
        call.cancel()
      }
      signal.addEventListener('abort', cancel, { once: true })
      if (signal.aborted) cancel()
      try {
        for await (const response of call as AsyncIterable<WatchReply>) yield toWatchEvent(response)
      } catch (error) {
        if (!signal.aborted) throw fromGrpcError(error, peer)
      } finally {
        signal.removeEventListener('abort', cancel)
        call.cancel()
      }
    },
    close: () => {
      client.close()
    },
  }
}

const OUTCOMES = { CREATED: 'created', CHANGED: 'changed', UNCHANGED: 'unchanged' } as const

function toWatchEvent(response: WatchReply): WatchEvent {
  if (!response.deleted) return { kind: 'state', resource: parseStoredResource(response.resourceJson) }
  const name = response.resourceJson === '' ? '' : parseStoredResource(response.resourceJson).metadata.name
  return { kind: 'deleted', name }
}
