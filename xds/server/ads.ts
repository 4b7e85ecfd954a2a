import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerOptions,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import { type Cache, createCache } from '../cache/cache.ts'
import type { ChangeIr } from '../ir/types.ts'
import type { NodeStatus, XdsEvents, XdsLogger } from './events.ts'
import type { ListenerOptions } from '../translate/listener.ts'
import { decodeRequest, DELTA_ADS_PATH, encodeResponse, type NodeRequest } from './messages.ts'
import { createNode, type Node, SILENCE_MS } from './node.ts'
import type { Response } from './next-response.ts'

export interface XdsServerDeps {
  readonly log: XdsLogger
  readonly events: XdsEvents
  /** What every Envoy listens on, and how it is set up. */
  readonly listener: ListenerOptions
  readonly now?: () => number
  /** Who may connect, and over what; without it anybody, in plain text. */
  readonly access?: { readonly credentials: ServerCredentials; readonly options: ServerOptions }
}

/** Serves all Envoys. Nothing is sent before `load` (I9). */
export interface XdsServer {
  /** The whole state; what is not in it goes. @throws Error listing every issue of it */
  load(state: ChangeIr): void
  /** What changed. Its cost is what it holds. @throws Error listing every issue of it, or when nothing was loaded */
  update(change: ChangeIr): void
  nodes(): readonly NodeStatus[]
  /** Sends held nodes what they are owed, whatever it removes (I9: somebody said `--force`). */
  releaseHeld(): void
  /** @throws Error when the port cannot be used */
  listen(host: string, port: number): Promise<{ readonly port: number; stop(): Promise<void> }>
}

const SERVER_OPTIONS = {
  'grpc.max_receive_message_length': 16 * 1024 * 1024, // the versions that a reconnecting node lists
  'grpc.keepalive_time_ms': 10_000, // a stream whose peer is gone closes, and the node no longer counts
  'grpc.keepalive_timeout_ms': 5_000,
}

type Stream = ServerDuplexStream<NodeRequest, Response>

export function createXdsServer({ log, events, listener, now = Date.now, access }: XdsServerDeps): XdsServer {
  const cache: Cache = createCache(listener)
  const nodes = new Map<Stream, Node>()
  const server = new Server({ ...SERVER_OPTIONS, ...access?.options })
  server.addService(DELTA_ADS, { DeltaAggregatedResources: serve })
  let lastNotified = ''
  let silenceTimer: NodeJS.Timeout | undefined

  function serve(stream: Stream): void {
    const node = createNode({
      cache,
      log,
      now,
      onRefusal: events.onRefusal,
      write: (response) => stream.write(response),
    })
    nodes.set(stream, node)
    stream.on('data', (request: NodeRequest) => {
      const before = node.status()
      node.receive(request)
      const after = node.status()
      if (before.node !== after.node) log.info({ node: after.node }, 'node connected')
      if (after.heldBecause !== undefined && before.heldBecause === undefined)
        log.error({ node: after.node, reason: after.heldBecause }, 'node is sent nothing: too much would be removed')
      notify()
    })
    stream.on('end', () => {
      stream.end()
    })
    stream.on('error', (error) => {
      log.warn({ node: node.status().node, error: error.message }, 'stream of a node broke')
    })
    const close = (): void => {
      if (!nodes.delete(stream)) return
      log.info({ node: node.status().node }, 'node disconnected')
      notify()
    }
    stream.on('cancelled', close)
    stream.on('close', close)
    stream.on('end', close)
  }

  function notify(): void {
    const statuses = list()
    const text = JSON.stringify(statuses)
    if (text === lastNotified) return
    lastNotified = text
    events.onNodes(statuses)
  }

  function list(): NodeStatus[] {
    return [...nodes.values()].map((node) => node.status()).filter((status) => status.node !== '')
  }

  function apply(change: ChangeIr, kind: 'load' | 'update'): void {
    const touched = cache[kind](change)
    for (const node of nodes.values()) {
      node.owe(touched, change.revision)
      if (kind === 'load') node.judge(false)
    }
    notify()
  }

  return {
    load: (state) => {
      apply(state, 'load')
      log.info({ revision: state.revision, models: cache.modelCount() }, 'state loaded')
    },
    update: (change) => {
      if (cache.revision() === undefined) throw new Error('a change came before the state was loaded')
      apply(change, 'update')
    },
    nodes: list,
    releaseHeld: () => {
      for (const node of nodes.values()) node.judge(true)
      notify()
    },
    listen: async (host, port) => {
      const bound = await bind(server, host, port, access?.credentials ?? ServerCredentials.createInsecure())
      silenceTimer = setInterval(notify, SILENCE_MS / 5)
      return {
        port: bound,
        stop: async () => {
          clearInterval(silenceTimer)
          for (const stream of nodes.keys()) stream.end()
          server.forceShutdown()
          await Promise.resolve()
        },
      }
    },
  }
}

function bind(server: Server, host: string, port: number, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${String(port)}`, credentials, (error, bound) => {
      if (error) reject(new Error(`port ${String(port)} on ${host} cannot be used: ${error.message}`, { cause: error }))
      else resolve(bound)
    })
  })
}

const DELTA_ADS: ServiceDefinition = {
  DeltaAggregatedResources: {
    path: DELTA_ADS_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: () => {
      throw new Error('this is a server')
    },
    requestDeserialize: decodeRequest,
    responseSerialize: encodeResponse,
    responseDeserialize: () => {
      throw new Error('this is a server')
    },
  },
}
