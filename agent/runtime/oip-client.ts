/** The model server's repository extension over gRPC. Every call has a deadline; expected endings are values. */
import { type Channel, type ChannelCredentials, connectivityState, status, type ServiceError } from '@grpc/grpc-js'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import { type ErrorCode, ServingError } from '../../kit/errors.ts'
import { ERROR_CODE_KEY } from '../../kit/grpc.ts'
import { toGrpcReason } from '../../kit/grpc-reason.ts'
import type { CheckResult } from './liveness.ts'

export interface RuntimeDeadlines {
  readonly healthMs: number
  readonly indexMs: number
  readonly loadMs: number
  readonly unloadMs: number
}

export type RuntimeOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: ServingError }
  /** The server went away during the call: nothing is known of its effect. */
  | { readonly kind: 'interrupted'; readonly reason: string }

/** What the agent asks of a model server, whatever its type. */
export interface Runtime {
  check(): Promise<CheckResult>
  /** Names of the models that are ready. @throws ServingError SERVER_UNAVAILABLE */
  loadedModels(): Promise<ReadonlySet<string>>
  load(internalName: string): Promise<RuntimeOutcome>
  /** Unloading what is not there succeeds. */
  unload(internalName: string): Promise<RuntimeOutcome>
  /** Counts broken connections: two equal readings around a check mean that it is still the same server process. */
  connectionsLost(): number
  close(): void
}

// A server that comes back must be seen within a few health checks; grpc-js would wait for up to two minutes.
const RECONNECT_OPTIONS = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 500 } as const

const LOAD_CODES = { refused: 'LOAD_FAILED', late: 'LOAD_TIMEOUT' } as const
const UNLOAD_CODES = { refused: 'UNLOAD_FAILED', late: 'DEADLINE_EXCEEDED' } as const

type WatchedChannel = Pick<Channel, 'getConnectivityState' | 'watchConnectivityState'>
type Callback<T> = (error: ServiceError | null, answer?: T) => void
type Result<T> =
  { readonly kind: 'answer'; readonly answer: T } | { readonly kind: 'error'; readonly error: ServiceError }

function call<T>(deadlineMs: number, start: (deadline: Date, callback: Callback<T>) => void): Promise<Result<T>> {
  return new Promise((resolve) => {
    start(new Date(Date.now() + deadlineMs), (error, answer) => {
      if (error) resolve({ kind: 'error', error })
      else resolve({ kind: 'answer', answer: answer as T })
    })
  })
}

/**
 * The server went away: nobody listens, or it closed the call while stopping (we never cancel one). A server's own
 * UNAVAILABLE says so in its metadata.
 */
const isConnectionFailure = (error: ServiceError): boolean =>
  (error.code === status.UNAVAILABLE || error.code === status.CANCELLED) &&
  error.metadata.get(ERROR_CODE_KEY).length === 0

/** MLServer names the state as Python prints an enumeration's member: `State.READY`. */
const isReady = ({ state }: { readonly state: string }): boolean => /(?:^|\.)READY$/.test(state)

export function createOipRuntime(
  address: string,
  credentials: ChannelCredentials,
  deadlines: RuntimeDeadlines,
): Runtime {
  const client = new GRPCInferenceService(address, credentials, {
    ...GRPC_OPTIONS,
    ...RECONNECT_OPTIONS,
  })
  const connections = countLostConnections(client.getChannel())

  return {
    connectionsLost: connections.lost,
    close: () => {
      connections.stop()
      client.close()
    },
    async check() {
      const result = await call<{ live: boolean }>(deadlines.healthMs, (deadline, callback) =>
        client.ServerLive({}, { deadline }, callback),
      )
      if (result.kind === 'error') {
        const reason = `server ${address}: ${toGrpcReason(result.error)}`
        return { kind: isConnectionFailure(result.error) ? 'refused' : 'failed', reason }
      }
      return result.answer.live
        ? { kind: 'alive' }
        : { kind: 'failed', reason: `server ${address} says it is not live` }
    },
    async loadedModels() {
      const result = await call<{ models: { name: string; state: string }[] }>(
        deadlines.indexMs,
        (deadline, callback) => client.RepositoryIndex({}, { deadline }, callback),
      )
      if (result.kind === 'error')
        throw new ServingError('SERVER_UNAVAILABLE', `index of server ${address}: ${toGrpcReason(result.error)}`, {
          cause: result.error,
        })
      return new Set(result.answer.models.filter(isReady).map((model) => model.name))
    },
    async load(internalName) {
      const result = await call(deadlines.loadMs, (deadline, callback) =>
        client.RepositoryModelLoad({ modelName: internalName }, { deadline }, callback),
      )
      return result.kind === 'answer' ? { kind: 'done' } : toFailure(result.error, LOAD_CODES, deadlines.loadMs)
    },
    async unload(internalName) {
      const result = await call(deadlines.unloadMs, (deadline, callback) =>
        client.RepositoryModelUnload({ modelName: internalName }, { deadline }, callback),
      )
      if (result.kind === 'answer' || result.error.code === status.NOT_FOUND) return { kind: 'done' }
      return toFailure(result.error, UNLOAD_CODES, deadlines.unloadMs)
    },
  }
}

function toFailure(
  error: ServiceError,
  codes: { refused: ErrorCode; late: ErrorCode },
  deadlineMs: number,
): RuntimeOutcome {
  if (isConnectionFailure(error)) return { kind: 'interrupted', reason: toGrpcReason(error) }
  if (error.code === status.DEADLINE_EXCEEDED) {
    const message = `the model server did not answer within ${String(deadlineMs)} ms`
    return { kind: 'failed', error: new ServingError(codes.late, message, { cause: error }) }
  }
  return { kind: 'failed', error: new ServingError(codes.refused, toServerMessage(error), { cause: error }) }
}

/** What the server says. A foreign server's message may be as short as a Python exception's, so it is introduced. */
function toServerMessage({ code, details, metadata }: ServiceError): string {
  if (metadata.get(ERROR_CODE_KEY).length > 0) return details
  return `the model server answered ${status[code]}: ${details || 'no reason; see its log'}`
}

/** Watches the channel, because a server that is replaced between two checks answers both. */
function countLostConnections(channel: WatchedChannel): { lost: () => number; stop: () => void } {
  let stopped = false
  let lost = 0
  const watch = (): void => {
    if (stopped) return
    const before = channel.getConnectivityState(false)
    channel.watchConnectivityState(before, Infinity, () => {
      if (before === connectivityState.READY) lost += 1
      watch()
    })
  }
  watch()
  return {
    lost: () => lost,
    stop: () => {
      stopped = true
    },
  }
}
