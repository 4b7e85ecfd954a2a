/** A scheduler's side of dataflow.proto, driven by the test. */
import { Server, type ServerDuplexStream } from '@grpc/grpc-js'
import type { GatewayMessage__Output } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { Introduction__Output } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { SchedulerMessage } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { Dataflow } from '../../api/grpc.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { serveGrpc } from '../../kit/grpc.ts'
import { createWaiters } from './waiters.ts'

type Stream = ServerDuplexStream<GatewayMessage__Output, SchedulerMessage>

export interface FakeSubscription {
  introduction: Introduction__Output | undefined
  /** `p 1 LOADED reason`, in their order. */
  readonly reports: string[]
  /** Names of units that were released, in their order. */
  readonly released: string[]
  draining: boolean
  ended: boolean
  send(message: SchedulerMessage): void
  load(pipeline: string, version: number, spec: PipelineSpec): void
}

export interface FakeDataflowScheduler {
  readonly address: string
  readonly subscriptions: readonly FakeSubscription[]
  /** The n-th one, counted from 0, once it has introduced itself. */
  subscription(index: number): Promise<FakeSubscription>
  until(what: string, predicate: () => boolean): Promise<void>
  /** As `kill -9`. */
  kill(): Promise<void>
  restart(): Promise<void>
}

export async function startFakeDataflowScheduler(): Promise<FakeDataflowScheduler> {
  const waiters = createWaiters()
  const subscriptions: FakeSubscription[] = []

  const receive = (stream: Stream): void => {
    const one: FakeSubscription = {
      introduction: undefined,
      reports: [],
      released: [],
      draining: false,
      ended: false,
      send: (message) => void stream.write(message),
      load: (pipeline, version, spec) =>
        void stream.write({
          load: { pipeline, version, uid: `${pipeline}-${String(version)}`, specJson: JSON.stringify(spec) },
        }),
    }
    subscriptions.push(one)
    stream.on('data', ({ introduction, report, draining, unitReleased }: GatewayMessage__Output) => {
      if (introduction) one.introduction = introduction
      if (report) one.reports.push(`${report.pipeline} ${String(report.version)} ${report.state}`)
      if (unitReleased) one.released.push(unitReleased.name)
      if (draining) one.draining = true
      waiters.look()
    })
    stream.on('error', () => undefined)
    stream.on('end', () => {
      one.ended = true
      stream.end()
      waiters.look()
    })
  }
  const listen = async (port: number) => {
    const server = new Server()
    server.addService(Dataflow.service, { Subscribe: receive })
    return { server, port: (await serveGrpc(server, '127.0.0.1', port)).port }
  }

  let { server, port } = await listen(0)
  return {
    get address() {
      return `127.0.0.1:${String(port)}`
    },
    subscriptions,
    subscription: async (index) => {
      await waiters.until(`subscription ${String(index)}`, () => subscriptions[index]?.introduction !== undefined)
      const found = subscriptions[index]
      if (found === undefined) throw new Error('unreachable')
      return found
    },
    until: (what, predicate) => waiters.until(what, predicate),
    kill: () => {
      server.forceShutdown()
      return Promise.resolve()
    },
    restart: async () => {
      ;({ server, port } = await listen(port))
    },
  }
}
