/** An agent in this process, speaking agent.proto to a scheduler: loads what it is told at once, or as a test says. */
import { credentials } from '@grpc/grpc-js'
import type { AgentMessage } from '../../api/generated/millrace/agent/v1/AgentMessage.ts'
import type { DesiredModel__Output } from '../../api/generated/millrace/agent/v1/DesiredModel.ts'
import type { ObservedModel } from '../../api/generated/millrace/agent/v1/ObservedModel.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/agent/v1/SchedulerMessage.ts'
import { AgentService, GRPC_OPTIONS } from '../../api/grpc.ts'

export type LoadAnswer = 'loaded' | 'later' | { readonly failed: string }

export interface FakeAgentOptions {
  readonly schedulerPort: number
  readonly server?: string
  readonly index?: number
  readonly memoryBytes?: number
  readonly capabilities?: readonly string[]
  /** Where its server is said to be; a test that wants it probed gives a real port. */
  readonly restPort?: number
  readonly grpcPort?: number
  /** False: when the stream ends it stays away, as an agent that is stuck. */
  readonly reconnects?: boolean
  readonly onLoad?: (model: DesiredModel__Output) => LoadAnswer
}

export interface FakeAgent {
  /** What it has loaded, by internal name. */
  readonly loaded: ReadonlySet<string>
  readonly desired: ReadonlyMap<string, DesiredModel__Output>
  /** Every message of the scheduler, in order. */
  readonly received: readonly SchedulerMessage__Output[]
  connect(): void
  /** The stream breaks; what it has stays. */
  disconnect(): void
  /** Reports a model that `onLoad` left for later. */
  finish(internalName: string, answer: 'loaded' | { readonly failed: string }): void
  send(message: AgentMessage): void
  /** Waits for a message of the scheduler, those already received included. */
  until(wanted: (message: SchedulerMessage__Output) => boolean): Promise<SchedulerMessage__Output>
  readonly connected: () => boolean
  close(): void
}

const RECONNECT_MS = 50
const WAIT_MS = 20_000

export function createFakeAgent(options: FakeAgentOptions): FakeAgent {
  const client = new AgentService(`127.0.0.1:${String(options.schedulerPort)}`, credentials.createInsecure(), {
    ...GRPC_OPTIONS,
    'grpc.use_local_subchannel_pool': 1, // a connection of its own, as an agent has
    'grpc.initial_reconnect_backoff_ms': RECONNECT_MS,
    'grpc.max_reconnect_backoff_ms': 200,
  })
  const sessionId = Math.random().toString(36)
  const loaded = new Set<string>()
  const failed = new Map<string, ObservedModel>()
  const desired = new Map<string, DesiredModel__Output>()
  const received: SchedulerMessage__Output[] = []
  const waiting = new Set<() => void>()
  let position = { epoch: '', generation: '0' }
  let stream: ReturnType<typeof client.Connect> | undefined
  let wanted = false
  let open = false

  const send = (message: AgentMessage): void => {
    stream?.write(message)
  }
  const report = (models: readonly ObservedModel[]): void => {
    if (models.length > 0) send({ observed: { models: [...models], appliedGeneration: position.generation } })
  }
  const toReport = (internalName: string): ObservedModel => {
    const attempt = desired.get(internalName)?.attempt ?? 0
    if (loaded.has(internalName)) return { internalName, state: 'LOADED', artifactBytes: 1_000, attempt }
    return failed.get(internalName) ?? { internalName, state: 'LOADING', attempt }
  }

  function load(model: DesiredModel__Output): ObservedModel {
    const { internalName, attempt } = model
    desired.set(internalName, model)
    failed.delete(internalName)
    if (loaded.has(internalName)) return toReport(internalName)
    const answer = options.onLoad?.(model) ?? 'loaded'
    if (answer === 'loaded') loaded.add(internalName)
    else if (answer !== 'later')
      failed.set(internalName, { internalName, state: 'LOAD_FAILED', reason: answer.failed, attempt })
    return toReport(internalName)
  }

  function unload(internalName: string): ObservedModel {
    desired.delete(internalName)
    loaded.delete(internalName)
    failed.delete(internalName)
    return { internalName, state: 'UNLOADED' }
  }

  function receive(message: SchedulerMessage__Output): void {
    received.push(message)
    const change = message.desired
    if (change) {
      position = { epoch: change.epoch, generation: change.generation }
      const named = new Set(change.models.map((model) => model.internalName))
      const gone = change.full ? [...desired.keys(), ...loaded].filter((name) => !named.has(name)) : change.removed
      report([...new Set(gone)].map(unload))
      report(change.models.map(load))
    }
    for (const check of waiting) check()
  }

  function connect(): void {
    wanted = true
    const mine = client.Connect()
    stream = mine
    mine.on('data', (message: SchedulerMessage__Output) => {
      open = true
      receive(message)
    })
    mine.on('error', () => undefined)
    mine.on('status', () => {
      if (stream !== mine) return
      open = false
      if (options.reconnects === false) wanted = false
      if (wanted) setTimeout(() => wanted && stream === mine && connect(), RECONNECT_MS)
    })
    send({
      hello: {
        serverName: options.server ?? 'embedded',
        replicaIndex: options.index ?? 0,
        sessionId,
        config: {
          address: '127.0.0.1',
          restPort: options.restPort ?? 1,
          grpcPort: options.grpcPort ?? 1,
          memoryBytes: options.memoryBytes ?? 1_000_000,
          capabilities: [...(options.capabilities ?? ['onnx', 'embedded'])],
          nameSource: 'HEADER',
        },
        models: [...new Set([...desired.keys(), ...loaded])].map(toReport),
        ...position,
        health: { state: 'SERVING' },
      },
    })
  }

  return {
    loaded,
    desired,
    received,
    connect,
    send,
    connected: () => open,
    disconnect: () => {
      wanted = false
      stream?.cancel()
    },
    finish: (internalName, answer) => {
      const attempt = desired.get(internalName)?.attempt ?? 0
      if (answer === 'loaded') loaded.add(internalName)
      else failed.set(internalName, { internalName, state: 'LOAD_FAILED', reason: answer.failed, attempt })
      report([toReport(internalName)])
    },
    until: (matches) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const found = received.find(matches)
          if (found === undefined) return
          clearTimeout(deadline)
          waiting.delete(check)
          resolve(found)
        }
        const deadline = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`the scheduler did not send it; it sent ${JSON.stringify(received)}`))
        }, WAIT_MS)
        waiting.add(check)
        check()
      }),
    close: () => {
      wanted = false
      stream?.cancel()
      client.close()
    },
  }
}
