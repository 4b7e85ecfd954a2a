/**
 * A pipeline gateway, engine or model gateway in this process, speaking dataflow.proto to a scheduler: loads what it is told at
 * once, or as a test says, and releases units that are revoked.
 */
import { credentials } from '@grpc/grpc-js'
import type { GatewayMessage } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { HeldUnit } from '../../api/generated/millrace/dataflow/HeldUnit.ts'
import type { Introduction } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { PipelineLoad__Output } from '../../api/generated/millrace/dataflow/PipelineLoad.ts'
import type { SchedulerMessage__Output } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { Dataflow, GRPC_OPTIONS } from '../../api/grpc.ts'
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

export interface FakeGateway {
  /** `<pipeline>@<version>` of what it runs, by pipeline. */
  readonly serving: () => readonly string[]
  /** `<pipeline>@<version>` of everything that it holds, sorted. */
  readonly held: () => readonly string[]
  /** Names of the units that it reads, sorted. */
  readonly units: () => readonly string[]
  /** Says that what was revoked is released. */
  release(unit: string): void
  /** Every message of the scheduler, in order. */
  readonly received: readonly SchedulerMessage__Output[]
  connect(): void
  /** The stream breaks; what it has stays. */
  disconnect(): void
  send(message: GatewayMessage): void
  /** Reports a load that `onLoad` left for later. */
  finish(load: PipelineLoad__Output): void
  /** What its plans came from. */
  readonly state: () => { readonly held: readonly Plan[]; readonly storeId: string; readonly units: readonly Unit[] }
  /** Why its stream was ended by the scheduler. */
  ended(): Promise<string>
  /** Waits until this holds; asked after every message of the scheduler. */
  until(wanted: () => boolean): Promise<void>
  close(): void
}

type Unit = HeldUnit & { readonly name: string }

const RECONNECT_MS = 50
const WAIT_MS = 20_000

export function createFakeGateway(options: FakeGatewayOptions): FakeGateway {
  const client = new Dataflow(`127.0.0.1:${String(options.schedulerPort)}`, credentials.createInsecure(), {
    ...GRPC_OPTIONS,
    'grpc.use_local_subchannel_pool': 1, // a connection of its own, as a gateway has
    'grpc.initial_reconnect_backoff_ms': RECONNECT_MS,
    'grpc.max_reconnect_backoff_ms': 200,
  })
  const plans = createHeldPlans()
  const received: SchedulerMessage__Output[] = []
  const waiting = new Set<() => void>()
  let storeId = options.like?.state().storeId ?? ''
  for (const plan of options.like?.state().held ?? []) plans.load(plan)
  const units = new Map<string, Unit>()
  for (const unit of options.like?.state().units ?? []) units.set(unit.name, unit)
  let end = (_reason: string): void => undefined
  const ended = new Promise<string>((resolve) => {
    end = resolve
  })
  let stream: ReturnType<typeof client.Subscribe> | undefined
  let wanted = false

  const send = (message: GatewayMessage): void => {
    stream?.write(message)
  }

  function load(message: PipelineLoad__Output): void {
    const { pipeline, version, uid } = message
    const answer = options.onLoad?.(message) ?? 'loaded'
    if (answer === 'later') return
    if (answer === 'loaded') finish(message)
    else send({ report: { pipeline, version, uid, state: 'FAILED', reason: answer.failed } })
  }

  function finish({ pipeline, version, uid }: PipelineLoad__Output): void {
    plans.load({ pipeline, version, uid })
    send({ report: { pipeline, version, uid } })
  }

  function release(name: string): void {
    const unit = units.get(name)
    units.delete(name)
    send({ unitReleased: { ...unit, name } })
  }

  function receive(message: SchedulerMessage__Output): void {
    received.push(message)
    if (message.load) load(message.load)
    if (message.serve) plans.serve(message.serve)
    if (message.unload) {
      const { pipeline, version } = message.unload
      const uid = plans.unload(pipeline, version)
      send({ report: { pipeline, version, uid, state: 'UNLOADED' } })
    }
    if (message.unitAssign) units.set(message.unitAssign.name, message.unitAssign)
    if (message.unitRevoke && options.releases !== false) release(message.unitRevoke.name)
    if (message.synchronised) {
      const named = message.synchronised.heldUnits.map(({ name }) => name)
      for (const name of units.keys()) if (!named.includes(name)) units.delete(name)
      storeId = message.synchronised.storeId
      plans.keepOnly(message.synchronised.held)
    }
    for (const check of waiting) check()
  }

  function connect(): void {
    wanted = true
    const mine = client.Subscribe()
    stream = mine
    mine.on('data', receive)
    mine.on('error', () => undefined)
    mine.on('status', ({ details }) => {
      end(details)
      if (stream !== mine) return
      if (options.reconnects === false) wanted = false
      if (wanted) setTimeout(() => wanted && stream === mine && connect(), RECONNECT_MS)
    })
    send({
      introduction: {
        name: options.name ?? 'gateway-0',
        address: '127.0.0.1',
        restPort: options.restPort ?? 1,
        grpcPort: options.grpcPort ?? 1,
        held: plans.held(),
        storeId,
        heldUnits: [...units.values()],
        ...options.introduction,
      },
    })
  }

  return {
    serving: plans.serving,
    held: () =>
      plans
        .held()
        .map(({ pipeline, version }) => `${pipeline}@${String(version)}`)
        .toSorted(),
    units: () => [...units.keys()].toSorted(),
    release,
    received,
    connect,
    send,
    finish,
    state: () => ({ held: plans.held(), storeId, units: [...units.values()] }),
    ended: () => ended,
    disconnect: () => {
      wanted = false
      stream?.cancel()
    },
    until: (matches) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!matches()) return
          clearTimeout(deadline)
          waiting.delete(check)
          resolve()
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
