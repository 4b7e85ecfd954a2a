/** The scheduler's administration API in memory: what a test puts in is what clients see, and every request is kept. */
import { EventEmitter } from 'node:events'
import { Server, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData } from '@grpc/grpc-js'
import type { AdminHandlers } from '../../api/generated/millrace/admin/v1/Admin.ts'
import type { ApplyRequest__Output } from '../../api/generated/millrace/admin/v1/ApplyRequest.ts'
import type { DeleteRequest__Output } from '../../api/generated/millrace/admin/v1/DeleteRequest.ts'
import type { WatchRequest__Output } from '../../api/generated/millrace/admin/v1/WatchRequest.ts'
import type { WatchResponse } from '../../api/generated/millrace/admin/v1/WatchResponse.ts'
import { Admin, GRPC_OPTIONS } from '../../api/grpc.ts'
import { parseResource, warningsOf } from '../../api/resources/resource.ts'
import type { StoredResource } from '../../api/resources/status.ts'
import { ServingError } from '../../kit/errors.ts'
import { serveGrpc, toGrpcStatus } from '../../kit/grpc.ts'

export interface FakeAdmin {
  readonly address: string
  readonly applied: readonly ApplyRequest__Output[]
  readonly deleted: readonly DeleteRequest__Output[]
  /** Stores the resource and tells every watch. */
  put(resource: StoredResource): void
  /** Deletes it and tells every watch. */
  remove(kind: string, name: string): void
  /** Answers every following call with this. */
  failWith(error: ServingError | undefined): void
  /** What watches are told from now on; resolves when the next one begins. */
  nextWatch(): Promise<void>
  /** Ends every open watch as a dying scheduler does. */
  breakWatches(error: ServingError): void
  stop(): Promise<void>
}

export const fakeEvent = { atMs: 0, type: 'Normal', reason: 'Loaded', message: 'version 1 on embedded/0' }

export async function startFakeAdmin(): Promise<FakeAdmin> {
  const resources = new Map<string, StoredResource>()
  const applied: ApplyRequest__Output[] = []
  const deleted: DeleteRequest__Output[] = []
  const watches = new Set<ServerWritableStream<WatchRequest__Output, WatchResponse>>()
  const watchStarted = new EventEmitter()
  let failure: ServingError | undefined

  const keyOf = (kind: string, name: string): string => `${kind}/${name}`
  const find = (kind: string, name: string): StoredResource => {
    const resource = resources.get(keyOf(kind, name))
    if (resource !== undefined) return resource
    throw new ServingError(
      kind === 'Server' ? 'SERVER_NOT_FOUND' : kind === 'Pipeline' ? 'PIPELINE_NOT_FOUND' : 'MODEL_NOT_FOUND',
      `${kind.toLowerCase()} ${name} does not exist`,
    )
  }
  const tell = (kind: string, name: string, response: WatchResponse): void => {
    for (const call of watches)
      if (call.request.kind === kind && call.request.name === name && !call.cancelled) call.write(response)
  }
  const unary =
    <Request, Response>(answer: (request: Request) => Response) =>
    (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>): void => {
      try {
        if (failure !== undefined) throw failure
        done(null, answer(call.request))
      } catch (error) {
        done(toGrpcStatus(error))
      }
    }

  const handlers: AdminHandlers = {
    Apply: unary((request) => {
      applied.push(request)
      const resource = parseResource(JSON.parse(request.resourceJson))
      const key = keyOf(resource.kind, resource.metadata.name)
      const before = resources.get(key)
      const same = JSON.stringify(before?.spec) === JSON.stringify(resource.spec)
      if (!request.dryRun) resources.set(key, { ...before, ...resource } as StoredResource)
      const outcome = before === undefined ? 'CREATED' : same ? 'UNCHANGED' : 'CHANGED'
      return { outcome, resourceJson: JSON.stringify(resource), warnings: [...warningsOf(resource)] }
    }),
    Get: unary((request) => ({
      resourceJson: JSON.stringify(find(request.kind, request.name)),
      events: [fakeEvent],
    })),
    List: unary((request) => {
      const all = [...resources.values()].filter((resource) => resource.kind === request.kind)
      const names = all.map((resource) => resource.metadata.name).toSorted()
      const page = names.filter((name) => name > request.after).slice(0, PAGE)
      const next = page.length === PAGE ? (page.at(-1) ?? '') : ''
      return { resourceJson: page.map((name) => JSON.stringify(find(request.kind, name))), next }
    }),
    Delete: unary((request) => {
      find(request.kind, request.name)
      deleted.push(request)
      return {}
    }),
    Rollback: unary((request) => {
      find(request.kind || 'Model', request.name)
      return { fromVersion: 3, restoredVersion: request.version || 2, newVersion: 4 }
    }),
    ListWorkers: unary(() => ({ leading: true, workerJson: [] })),
    Watch: (call) => {
      const { kind, name } = call.request
      watches.add(call)
      call.on('cancelled', () => watches.delete(call))
      const resource = resources.get(keyOf(kind, name))
      if (resource !== undefined) call.write({ resourceJson: JSON.stringify(resource) })
      watchStarted.emit('watch')
    },
  }
  const server = new Server(GRPC_OPTIONS)
  server.addService(Admin.service, handlers)
  const running = await serveGrpc(server, '127.0.0.1', 0)
  return {
    address: `127.0.0.1:${String(running.port)}`,
    applied,
    deleted,
    put(resource) {
      resources.set(keyOf(resource.kind, resource.metadata.name), resource)
      tell(resource.kind, resource.metadata.name, { resourceJson: JSON.stringify(resource) })
    },
    remove(kind, name) {
      const resource = find(kind, name)
      resources.delete(keyOf(kind, name))
      tell(kind, name, { resourceJson: JSON.stringify(resource), deleted: true })
    },
    failWith(error) {
      failure = error
    },
    async nextWatch() {
      await new Promise((resolve) => watchStarted.once('watch', resolve))
    },
    breakWatches(error) {
      for (const call of watches) call.emit('error', toGrpcStatus(error))
      watches.clear()
    },
    async stop() {
      for (const call of watches) call.end()
      await running.stop()
    },
  }
}

/** Small, so that tests see more than one page. */
const PAGE = 2
