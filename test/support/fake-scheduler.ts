/** A scheduler's side of the agent API, driven by the test: records what agents say, sends what the test says. */
import { Server, type ServerDuplexStream } from '@grpc/grpc-js'
import type { AgentMessage__Output } from '../../api/generated/millrace/agent/v1/AgentMessage.ts'
import type { Desired } from '../../api/generated/millrace/agent/v1/Desired.ts'
import type { DesiredModel } from '../../api/generated/millrace/agent/v1/DesiredModel.ts'
import type { Hello__Output } from '../../api/generated/millrace/agent/v1/Hello.ts'
import type { ObservedModel__Output } from '../../api/generated/millrace/agent/v1/ObservedModel.ts'
import type { SchedulerMessage } from '../../api/generated/millrace/agent/v1/SchedulerMessage.ts'
import { AgentService } from '../../api/grpc.ts'
import { serveGrpc } from '../../kit/grpc.ts'
import { createWaiters, type Waiters } from './waiters.ts'

type Stream = ServerDuplexStream<AgentMessage__Output, SchedulerMessage>

/** One connection of one agent, with everything it has said on it. */
export interface FakeConnection {
  readonly hello: Hello__Output
  /** The last state of each model: from Hello, then from the reports. */
  readonly models: ReadonlyMap<string, ObservedModel__Output>
  /** Every state of every model in order, as `name STATE`. */
  readonly history: readonly string[]
  /** DOWN, RELOADING, SERVING in the order they were told, Hello's first. */
  readonly health: readonly string[]
  readonly healthReason: string
  readonly appliedGeneration: number
  readonly availableMemoryBytes: number
  readonly draining: boolean
  readonly ended: boolean
  send(message: SchedulerMessage): void
  sendDesired(desired: Desired): void
  end(): void
}

export interface FakeScheduler {
  readonly port: number
  readonly address: string
  readonly connections: readonly FakeConnection[]
  /** The n-th connection, counted from 0, once its Hello is here. */
  connection(index: number): Promise<FakeConnection>
  /** Resolves once the predicate holds; it is asked after everything an agent says. Rejects after a deadline. */
  until(what: string, predicate: () => boolean): Promise<void>
  /** Called for each Hello: what a scheduler answers at once. */
  onHello: ((connection: FakeConnection) => void) | undefined
  /** As `kill -9`: every connection breaks. */
  kill(): Promise<void>
  restart(): Promise<void>
}

export const desiredModel = (internalName: string, storageUri: string, other: DesiredModel = {}): DesiredModel => ({
  internalName,
  modelName: internalName.replace(/_\d+$/, ''),
  version: Number(internalName.split('_').at(-1)),
  storageUri,
  memoryBytes: 100,
  attempt: 1,
  ...other,
})

export async function startFakeScheduler(): Promise<FakeScheduler> {
  const waiters = createWaiters()
  const connections: FakeConnection[] = []
  let onHello: FakeScheduler['onHello']

  const listen = async (port: number): Promise<{ server: Server; port: number }> => {
    const server = new Server()
    server.addService(AgentService.service, {
      Connect: (stream: Stream) => {
        receive(stream, waiters, (connection) => {
          connections.push(connection)
          onHello?.(connection)
        })
      },
    })
    return { server, port: (await serveGrpc(server, '127.0.0.1', port)).port }
  }

  let { server, port } = await listen(0)
  const until = (what: string, predicate: () => boolean): Promise<void> => waiters.until(what, predicate)
  return {
    get port() {
      return port
    },
    get address() {
      return `127.0.0.1:${String(port)}`
    },
    connections,
    async connection(index) {
      await until(`connection ${String(index)}`, () => connections.length > index)
      const found = connections[index]
      if (!found) throw new Error('unreachable')
      return found
    },
    until,
    get onHello() {
      return onHello
    },
    set onHello(answer) {
      onHello = answer
    },
    async kill() {
      server.forceShutdown()
      await Promise.resolve()
    },
    async restart() {
      ;({ server, port } = await listen(port))
    },
  }
}

function receive(stream: Stream, waiters: Waiters, onHello: (connection: FakeConnection) => void): void {
  const models = new Map<string, ObservedModel__Output>()
  const history: string[] = []
  const health: string[] = []
  let connection: FakeConnection | undefined
  const seen = { healthReason: '', appliedGeneration: 0, availableMemoryBytes: 0, draining: false, ended: false }
  const note = (model: ObservedModel__Output): void => {
    models.set(model.internalName, model)
    history.push(`${model.internalName} ${model.state}`)
  }
  stream.on('data', (message: AgentMessage__Output) => {
    if (message.hello) {
      const { hello } = message
      hello.models.forEach(note)
      health.push(hello.health?.state ?? '')
      connection = {
        hello,
        models,
        history,
        health,
        get healthReason() {
          return seen.healthReason
        },
        get appliedGeneration() {
          return seen.appliedGeneration
        },
        get availableMemoryBytes() {
          return seen.availableMemoryBytes
        },
        get draining() {
          return seen.draining
        },
        get ended() {
          return seen.ended
        },
        send: (down) => {
          stream.write(down)
        },
        sendDesired: (desired) => {
          stream.write({ desired })
        },
        end: () => {
          stream.end()
        },
      }
      onHello(connection)
    } else if (message.observed) {
      message.observed.models.forEach(note)
      seen.appliedGeneration = Number(message.observed.appliedGeneration)
      seen.availableMemoryBytes = Number(message.observed.availableMemoryBytes)
    } else if (message.health) {
      health.push(message.health.state)
      seen.healthReason = message.health.reason
    } else if (message.drain) {
      seen.draining = true
    }
    waiters.look()
  })
  const end = (): void => {
    seen.ended = true
    waiters.look()
  }
  stream.on('end', () => {
    stream.end()
    end()
  })
  stream.on('cancelled', end)
  stream.on('error', end)
}
