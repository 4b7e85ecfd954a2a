/**
 * The server replicas that run on this machine, brought towards what is wanted: `planSteps` says what is due, this does it.
 * A replica is a model server and its agent; they start together. A surplus one hands its models over first: its agent
 * drains (scheduler and Envoy move them, make before break), then the model server ends.
 */
import { mkdirSync } from 'node:fs'
import { backoffMs } from '../../kit/backoff.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import type { ServerKind } from './kinds.ts'
import { nextRetryMs, planSteps, type Replicas, type ReplicaState, type Step } from './plan-steps.ts'
import { agentName, modelServerName, type ReplicaPlan } from './replica-plan.ts'

/** How long a replica may take to hand its models over: the scheduler gives up after the same time. */
export const DRAIN_DEADLINE_MS = 60_000
/** An agent whose drain deadline passed still closes its connections. */
const AGENT_STOP_MS = DRAIN_DEADLINE_MS + 4_000
const RETRY = { minMs: 4_000, maxMs: 30_000 } as const

export interface FleetDeps {
  readonly supervisor: Pick<Supervisor, 'add' | 'remove'>
  /** What a replica consists of; the first of its kind may take a while, when its model server has to be fetched. */
  readonly plan: (server: ServerKind, index: number) => Promise<ReplicaPlan>
  /** @throws ServingError PORT_IN_USE */
  readonly checkPorts: (server: ServerKind, index: number) => Promise<void>
  /** Resolves when the scheduler can hear the replica's agent, or is not expected to in time: only then can it drain. */
  readonly untilConnected: (server: ServerKind, index: number, signal: AbortSignal) => Promise<void>
  readonly tell: (line: string) => void
  readonly nowMs: () => number
}

export interface Fleet extends Running {
  /** Takes note of how many replicas a server shall have. */
  want(server: ServerKind, count: number): void
  wanted(server: ServerKind): number
  /** Starts everything that is wanted now. @throws ServingError of the first replica that does not start */
  startWanted(): Promise<void>
  /** From now on what is wanted is brought about without further ado; what fails is told and tried again. */
  keep(): void
  /** Begins nothing new and waits for what is under way, which ends as soon as the supervisor stops its processes. */
  stop(): Promise<void>
}

export function createFleet(deps: FleetDeps): Fleet {
  const desired = new Map<ServerKind, number>()
  const fleet = new Map<ServerKind, Map<number, ReplicaState>>()
  const tasks = new Set<Promise<void>>()
  let keeping = false
  const stopping = new AbortController()
  let retry: NodeJS.Timeout | undefined

  const replicasOf = (server: ServerKind): Replicas => fleet.get(server) ?? new Map<number, ReplicaState>()
  const set = (server: ServerKind, index: number, state: ReplicaState | undefined): void => {
    const replicas = fleet.get(server) ?? new Map<number, ReplicaState>()
    fleet.set(server, replicas)
    if (state === undefined) replicas.delete(index)
    else replicas.set(index, state)
  }

  function reconcile(): void {
    if (!keeping || stopping.signal.aborted) return
    for (const step of planSteps(desired, replicasOf, deps.nowMs())) take(step)
    wakeForRetry()
  }

  /** One timer, for the earliest retry. */
  function wakeForRetry(): void {
    clearTimeout(retry)
    const atMs = nextRetryMs([...fleet.values()].flatMap((replicas) => [...replicas.values()]))
    if (atMs !== undefined) retry = setTimeout(reconcile, Math.max(0, atMs - deps.nowMs()))
  }

  function take(step: Step): void {
    const { server, index } = step
    switch (step.kind) {
      case 'start':
        return run(startTold(server, index))
      case 'drain':
        return run(drain(server, index))
      case 'forget':
        return set(server, index, undefined)
    }
  }

  function run(work: Promise<void>): void {
    const task = work.then(() => {
      tasks.delete(task)
      reconcile()
    })
    tasks.add(task)
  }

  async function startTold(server: ServerKind, index: number): Promise<void> {
    const before = replicasOf(server).get(index)
    const name = `${server}/${String(index)}`
    if (before === undefined) deps.tell(`starting server replica ${name}`)
    try {
      await start(server, index)
      deps.tell(`server replica ${name} runs`)
    } catch (error) {
      if (stopping.signal.aborted) return
      const reason = toServingError(error).message
      const failures = before?.kind === 'failed' ? before.failures + 1 : 0
      const delayMs = backoffMs(failures, RETRY)
      set(server, index, { kind: 'failed', retryAtMs: deps.nowMs() + delayMs, failures, reason })
      if (before?.kind !== 'failed' || before.reason !== reason)
        deps.tell(`server replica ${name} cannot be started, it is tried again by itself: ${reason}`)
    }
  }

  async function start(server: ServerKind, index: number): Promise<void> {
    set(server, index, { kind: 'starting' })
    await deps.checkPorts(server, index)
    const { repository, modelServer, agent } = await deps.plan(server, index)
    if (stopping.signal.aborted) throw new ServingError('CANCELLED', 'stopped while starting')
    mkdirSync(repository, { recursive: true })
    const started = await Promise.allSettled([deps.supervisor.add(modelServer), deps.supervisor.add(agent)])
    const failed = started.find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined) {
      await Promise.all([deps.supervisor.remove(agent.name), deps.supervisor.remove(modelServer.name)])
      throw failed.reason
    }
    set(server, index, { kind: 'running' })
  }

  async function drain(server: ServerKind, index: number): Promise<void> {
    const name = `${server}/${String(index)}`
    set(server, index, { kind: 'draining' })
    deps.tell(`draining server replica ${name}`)
    await deps.untilConnected(server, index, stopping.signal)
    if (stopping.signal.aborted) return // everything is being stopped, this too
    await deps.supervisor.remove(agentName(server, index), AGENT_STOP_MS)
    await deps.supervisor.remove(modelServerName(server, index))
    set(server, index, undefined)
    if (!stopping.signal.aborted) deps.tell(`server replica ${name} has stopped`)
  }

  return {
    want: (server, count) => {
      desired.set(server, count)
      reconcile()
    },
    wanted: (server) => desired.get(server) ?? 0,
    startWanted: async () => {
      const steps = planSteps(desired, replicasOf, deps.nowMs())
      await Promise.all(steps.map(({ server, index }) => start(server, index)))
    },
    keep: () => {
      keeping = true
      reconcile()
    },
    stop: async () => {
      stopping.abort()
      clearTimeout(retry)
      await Promise.all(tasks)
    },
  }
}
