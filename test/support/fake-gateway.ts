/**
 * A pipeline gateway, engine or model gateway in this process, speaking dataflow.proto to a scheduler: loads what it is told at
 * once, or as a test says, and releases units that are revoked.
 */
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { HeldUnit } from '../../api/generated/millrace/dataflow/HeldUnit.ts'
import type { Introduction } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { PipelineLoad__Output } from '../../api/generated/millrace/dataflow/PipelineLoad.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { Dataflow } from '../../api/grpc.ts'
import { createFakePeer, type FakePeer, fakePeerClient } from './fake-peer.ts'
import { createHeldPlans, type Plan } from './held-plans.ts'

export interface FakeGatewayOptions {
  readonly schedulerPort: number
  readonly name?: string
  readonly restPort?: number
  readonly grpcPort?: number
  /** False: when the stream ends it stays away, as one that is stuck. */
  readonly reconnects?: boolean
  readonly introduction?: Introduction
  /** Has what this one has, and knows its store. */
  readonly like?: FakeGateway
  /** False: what is revoked is kept, until a test releases it. */
  readonly releases?: boolean
  readonly onLoad?: (load: PipelineLoad__Output) => 'loaded' | 'later' | { readonly failed: string }
}

export interface FakeGateway extends FakePeer<GatewayMessage, SchedulerMessage__Output> {
  /** `<pipeline>@<version>` of what it runs, by pipeline. */
  readonly serving: () => readonly string[]
  /** `<pipeline>@<version>` of everything that it holds, sorted. */
  readonly held: () => readonly string[]
  /** Names of the units that it reads, sorted. */
  readonly units: () => readonly string[]
  /** Says that what was revoked is released. */
  release(unit: string): void
  /** Reports a load that `onLoad` left for later. */
  finish(load: PipelineLoad__Output): void
  /** What its plans came from. */
  readonly state: () => { readonly held: readonly Plan[]; readonly storeId: string; readonly units: readonly Unit[] }
}

type Unit = HeldUnit & { readonly name: string }

export function createFakeGateway(options: FakeGatewayOptions): FakeGateway {
  const client = new Dataflow(...fakePeerClient(options.schedulerPort))
  const plans = createHeldPlans()
  let storeId = options.like?.state().storeId ?? ''
  for (const plan of options.like?.state().held ?? []) plans.load(plan)
  const units = new Map<string, Unit>()
  for (const unit of options.like?.state().units ?? []) units.set(unit.name, unit)
  const peer = createFakePeer<GatewayMessage, SchedulerMessage__Output>({
    reconnects: options.reconnects !== false,
    client,
    open: () => client.Subscribe(),
    hello: () => ({
      introduction: {
        name: options.name ?? 'gateway-0',
        address: '127.0.0.1',
        restPort: options.restPort ?? 1,
        grpcPort: options.grpcPort ?? 1,
        held: plans.held(),
        heldUnits: [...units.values()],
        storeId,
        ...options.introduction,
      },
    }),
    onMessage: receive,
  })

  function load(message: PipelineLoad__Output): void {
    const { pipeline, version, uid } = message
    const answer = options.onLoad?.(message) ?? 'loaded'
    if (answer === 'later') return
    if (answer === 'loaded') finish(message)
    else peer.send({ report: { pipeline, version, uid, state: 'FAILED', reason: answer.failed } })
  }

  function finish({ pipeline, version, uid }: PipelineLoad__Output): void {
    plans.load({ pipeline, version, uid })
    peer.send({ report: { pipeline, version, uid } })
  }

  function release(name: string): void {
    const unit = units.get(name)
    units.delete(name)
    peer.send({ unitReleased: { ...unit, name } })
  }

  function receive(message: SchedulerMessage__Output): void {
    if (message.load) load(message.load)
    if (message.serve) plans.serve(message.serve)
    if (message.unload) {
      const { pipeline, version } = message.unload
      const uid = plans.unload(pipeline, version)
      peer.send({ report: { pipeline, version, uid, state: 'UNLOADED' } })
    }
    if (message.unitAssign) units.set(message.unitAssign.name, message.unitAssign)
    if (message.unitRevoke && options.releases !== false) release(message.unitRevoke.name)
    if (message.synchronised) {
      const named = message.synchronised.heldUnits.map(({ name }) => name)
      for (const name of units.keys()) if (!named.includes(name)) units.delete(name)
      storeId = message.synchronised.storeId
      plans.keepOnly(message.synchronised.held)
    }
  }

  return {
    ...peer,
    serving: plans.serving,
    held: () =>
      plans
        .held()
        .map(({ pipeline, version }) => `${pipeline}@${String(version)}`)
        .toSorted(),
    units: () => [...units.keys()].toSorted(),
    release,
    finish,
    state: () => ({ held: plans.held(), storeId, units: [...units.values()] }),
  }
}
