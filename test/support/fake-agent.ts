/** An agent in this process, speaking agent.proto to a scheduler: loads what it is told at once, or as a test says. */
import type { AgentMessage } from '../../api/generated/millrace/agent/v1/AgentMessage.ts'
import type { DesiredModel__Output } from '../../api/generated/millrace/agent/v1/DesiredModel.ts'
import type { ObservedModel } from '../../api/generated/millrace/agent/v1/ObservedModel.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/agent/v1/SchedulerMessage.ts'
import { AgentService } from '../../api/grpc.ts'
import { createFakePeer, type FakePeer, fakePeerClient } from './fake-peer.ts'

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

export interface FakeAgent extends Omit<FakePeer<AgentMessage, SchedulerMessage__Output>, 'until'> {
  /** What it has loaded, by internal name. */
  readonly loaded: ReadonlySet<string>
  readonly desired: ReadonlyMap<string, DesiredModel__Output>
  /** Reports a model that `onLoad` left for later. */
  finish(internalName: string, answer: 'loaded' | { readonly failed: string }): void
  /** Waits for a message of the scheduler, those already received included. */
  until(wanted: (message: SchedulerMessage__Output) => boolean): Promise<SchedulerMessage__Output>
}

export function createFakeAgent(options: FakeAgentOptions): FakeAgent {
  const client = new AgentService(...fakePeerClient(options.schedulerPort))
  const sessionId = Math.random().toString(36)
  const loaded = new Set<string>()
  const failed = new Map<string, ObservedModel>()
  const desired = new Map<string, DesiredModel__Output>()
  let position = { epoch: '', generation: '0' }
  const peer = createFakePeer<AgentMessage, SchedulerMessage__Output>({
    reconnects: options.reconnects !== false,
    client,
    open: () => client.Connect(),
    hello: () => ({
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
    }),
    onMessage: receive,
  })

  const report = (models: readonly ObservedModel[]): void => {
    if (models.length > 0) peer.send({ observed: { models: [...models], appliedGeneration: position.generation } })
  }
  function toReport(internalName: string): ObservedModel {
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

  function receive({ desired: change }: SchedulerMessage__Output): void {
    if (!change) return
    position = { epoch: change.epoch, generation: change.generation }
    const named = new Set(change.models.map((model) => model.internalName))
    const gone = change.full ? [...desired.keys(), ...loaded].filter((name) => !named.has(name)) : change.removed
    report([...new Set(gone)].map(unload))
    report(change.models.map(load))
  }

  return {
    ...peer,
    loaded,
    desired,
    finish: (internalName, answer) => {
      const attempt = desired.get(internalName)?.attempt ?? 0
      if (answer === 'loaded') loaded.add(internalName)
      else failed.set(internalName, { internalName, state: 'LOAD_FAILED', reason: answer.failed, attempt })
      report([toReport(internalName)])
    },
    until: async (matches) => {
      let found: SchedulerMessage__Output | undefined
      await peer.until(() => (found = peer.received.find(matches)) !== undefined)
      if (found === undefined) throw new Error('unreachable')
      return found
    },
  }
}
