/**
 * Random histories of users, gateways that load, fail, hang and vanish, and an Envoy that lags, with the invariants checked at every
 * step: what is stored, what gateways hold and what Envoy follows must fit together whatever comes in which order.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHoldings, type Holdings } from '../../../../scheduler/dataflow/holdings.ts'
import {
  neededGateways,
  planForget,
  planLost,
  planReady,
  type Presence,
  writeGateway,
} from '../../../../scheduler/dataflow/presence.ts'
import { tell, type Told, TOLD_NOTHING } from '../../../../scheduler/dataflow/told.ts'
import { createClusterState } from '../../../../scheduler/domain/cluster.ts'
import { atRevision } from '../../../../scheduler/domain/document-change.ts'
import { applyPipeline, deletePipeline } from '../../../../scheduler/domain/pipeline/change.ts'
import { heldVersions, servingPipelineVersion } from '../../../../scheduler/domain/pipeline/facts.ts'
import { reconcilePipeline } from '../../../../scheduler/domain/pipeline/reconcile.ts'
import type { Write } from '../../../../scheduler/domain/store.ts'
import type { SchedulerMessage } from '../../../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { createHeldPlans } from '../../../support/held-plans.ts'
import { aGateway, pipelineContext } from '../../../support/pipelines.ts'

const PIPELINES = ['p', 'q'] as const
const GATEWAYS = ['a', 'b', 'c'] as const
const pipeline = fc.constantFrom(...PIPELINES)
const gateway = fc.constantFrom(...GATEWAYS)
const seldom = fc.integer({ min: 0, max: 4 }).map((value) => value === 0)
const kind = <Kind extends string>(name: Kind) => fc.constant(name)

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: kind('apply'), pipeline, timeoutMs: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('delete'), pipeline }) },
  { weight: 12, arbitrary: fc.record({ kind: kind('reconcile'), pipeline }) },
  { weight: 12, arbitrary: fc.record({ kind: kind('gatewayActs'), gateway, fails: seldom }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('stream'), gateway, connected: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('judge') }) },
  { weight: 5, arbitrary: fc.record({ kind: kind('envoyActs') }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('time'), ms: fc.constantFrom(100, 1_000, 3_000, 61_000) }) },
)
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never

interface Stream {
  readonly holdings: Holdings
  readonly told: Map<string, Told>
  readonly inbox: SchedulerMessage[]
}

function createSimulation() {
  const cluster = createClusterState()
  const plans = new Map(GATEWAYS.map((name) => [name as string, createHeldPlans()]))
  const streams = new Map<string, Stream>()
  /** What Envoy follows, and what it has been told. */
  const followed = new Set<string>()
  const published: { readonly revision: number; readonly name: string; readonly routed: boolean }[] = []
  let nowMs = 1_000_000
  let revision = 0
  let acked = 0
  let uids = 0

  const presence: Presence = {
    gateways: () => [...cluster.gateways()],
    holdings: (name) => streams.get(name)?.holdings,
    now: () => nowMs,
  }
  const context = () =>
    pipelineContext({
      nowMs,
      isAcked: (since) => acked >= since,
      gateways: {
        needed: () => neededGateways(presence),
        said: (name, uid) => streams.get(name)?.holdings.said(uid) ?? { kind: 'nothing' },
        unloads: (name, step) =>
          [...streams].map(([key, { holdings }]) => ({ gateway: key, ...holdings.unload(name, step) })),
        journal: () => 'none',
      },
    })

  function commit(writes: readonly Write[]): void {
    if (writes.length === 0) return
    revision += 1
    for (const write of writes) {
      const change = cluster.apply(atRevision(write, revision))
      if (change?.kind !== 'pipeline') continue
      const routed = change.after?.route !== undefined
      if (routed !== (change.before?.route !== undefined)) published.push({ revision, name: change.name, routed })
      const switched = change.after?.serving !== undefined && change.after.serving !== change.before?.serving
      if (switched && change.after !== undefined) checkSwitch(servingPipelineVersion(change.after)?.uid ?? '')
      for (const stream of streams.values()) {
        stream.holdings.follow(change.name, change.after)
        deliver(stream, change.name)
      }
    }
  }

  /** I1, I5: whoever Envoy may choose has it at this moment. */
  function checkSwitch(uid: string): void {
    const needed = neededGateways(presence)
    expect(needed.length).toBeGreaterThan(0)
    for (const name of needed) expect(holds(name, uid)).toBe(true)
  }

  /** While one gateway that is here has everything that serves, Envoy may choose no other that is here and has not. */
  function checkChosen(): void {
    const missing = [...cluster.gateways()].flatMap(({ name, ready }) => {
      const count = streams.get(name)?.holdings.missing()
      return ready && count !== undefined ? [count] : []
    })
    if (missing.includes(0)) expect(missing.every((count) => count === 0)).toBe(true)
  }

  function holds(name: string, uid: string): boolean {
    return (
      plans
        .get(name)
        ?.held()
        .some((plan) => plan.uid === uid) === true
    )
  }

  function deliver({ holdings, told, inbox }: Stream, name: string): void {
    const document = cluster.pipeline(name)
    if (document === undefined) return
    const telling = tell(told.get(name) ?? TOLD_NOTHING, document)
    told.set(name, telling.told)
    for (const uid of telling.gone) holdings.gone(uid)
    holdings.asked(name, telling.asked, nowMs)
    holdings.unloading(name, telling.unloads, telling.step)
    inbox.push(...telling.messages)
  }

  function connect(name: string): void {
    const held = plans.get(name)?.held() ?? []
    const told = new Map<string, Told>()
    for (const plan of held) {
      const before = told.get(plan.pipeline) ?? TOLD_NOTHING
      told.set(plan.pipeline, { held: new Map([...before.held, [plan.uid, plan.version]]) })
    }
    const stream: Stream = { holdings: createHoldings(held.map(({ uid }) => uid)), told, inbox: [] }
    for (const document of cluster.pipelines()) stream.holdings.follow(document.name, document)
    streams.set(name, stream)
    const before = cluster.gateway(name)
    const ready = before?.ready === true && stream.holdings.missing() === 0
    commit(writeGateway(before, aGateway(name, { revision: before?.revision ?? 0, ready })))
    for (const document of cluster.pipelines()) deliver(stream, document.name)
    const named = [...cluster.pipelines()].flatMap(heldVersions).map((version) => version.uid)
    stream.inbox.push({ synchronised: { held: named.map((uid) => ({ pipeline: '', version: 0, uid })) } })
  }

  function gatewayActs(name: string, fails: boolean): void {
    const stream = streams.get(name)
    const message = stream?.inbox.shift()
    const mine = plans.get(name)
    if (stream === undefined || message === undefined || mine === undefined) return
    const { load, serve, unload, synchronised } = message
    if (serve) mine.serve({ pipeline: serve.pipeline ?? '', version: serve.version ?? 0, uid: serve.uid ?? '' })
    if (synchronised)
      mine.keepOnly((synchronised.held ?? []).map(({ uid = '' }) => ({ pipeline: '', version: 0, uid })))
    if (unload) {
      mine.unload(unload.pipeline ?? '', unload.version ?? 0)
      stream.holdings.unloaded(unload.pipeline ?? '', unload.version ?? 0, undefined, nowMs)
    }
    if (!load) return
    const { pipeline: of = '', version = 0, uid = '' } = load
    const document = cluster.pipeline(of)
    const isWanted = document !== undefined && heldVersions(document).some((one) => one.uid === uid)
    if (!fails) mine.load({ pipeline: of, version, uid })
    if (!isWanted) return
    if (fails) stream.holdings.failed(of, uid, 'chance', nowMs)
    else stream.holdings.loaded(uid)
    stream.holdings.follow(of, document)
  }

  function passTime(ms: number): void {
    nowMs += ms
    for (const { holdings, told, ...rest } of streams.values())
      for (const due of holdings.due(nowMs)) {
        const before = told.get(due.pipeline)
        if (due.kind === 'load' && before?.held.has(due.uid) === true) {
          told.set(due.pipeline, { ...before, held: new Map([...before.held].filter(([uid]) => uid !== due.uid)) })
          deliver({ holdings, told, ...rest }, due.pipeline)
        } else if (due.kind === 'load') holdings.gone(due.uid)
        holdings.follow(due.pipeline, cluster.pipeline(due.pipeline))
      }
  }

  function reconcile(name: string): void {
    const document = cluster.pipeline(name)
    if (document === undefined) return
    const result = reconcilePipeline(document, { model: () => undefined, pipeline: () => undefined }, context())
    const after = result.remove ? undefined : result.document
    if (result.document !== undefined || result.remove)
      commit([{ kind: 'pipeline', name, expectedRevision: document.revision, document: after }])
  }

  function act(step: Operation): void {
    switch (step.kind) {
      case 'apply': {
        const spec = { steps: [{ name: 'iris' }], timeoutMs: step.timeoutMs }
        const before = cluster.pipeline(step.pipeline)
        const input = { name: step.pipeline, labels: {}, spec }
        const change = applyPipeline(before, input, nowMs, `uid-${String((uids += 1))}`)
        if (change.kind === 'unchanged') return
        const expectedRevision = before?.revision ?? 0
        commit([{ kind: 'pipeline', name: step.pipeline, expectedRevision, document: change.document }])
        return
      }
      case 'delete': {
        const before = cluster.pipeline(step.pipeline)
        if (before === undefined) return
        const document = deletePipeline(before, nowMs)
        commit([{ kind: 'pipeline', name: step.pipeline, expectedRevision: before.revision, document }])
        return
      }
      case 'reconcile':
        reconcile(step.pipeline)
        return
      case 'gatewayActs':
        gatewayActs(step.gateway, step.fails)
        return
      case 'stream':
        if (step.connected && !streams.has(step.gateway)) connect(step.gateway)
        else if (!step.connected && streams.delete(step.gateway)) commit(planLost(cluster.gateway(step.gateway), nowMs))
        return
      case 'judge':
        commit(planReady(presence))
        commit(planForget(presence, 60_000))
        checkChosen()
        return
      case 'envoyActs':
        for (const { name, routed } of published.splice(0))
          if (routed) followed.add(name)
          else followed.delete(name)
        acked = revision
        return
      case 'time':
        passTime(step.ms)
        return
    }
  }

  /** Who is connected obeys, Envoy follows, time passes, until nothing moves. */
  function settle(): void {
    for (const name of GATEWAYS) act({ kind: 'stream', gateway: name, connected: true })
    for (let round = 0; round < 40; round += 1) {
      for (const [name, { inbox }] of streams) while (inbox.length > 0) gatewayActs(name, false)
      act({ kind: 'judge' })
      for (const name of PIPELINES) reconcile(name)
      act({ kind: 'envoyActs' })
      passTime(61_000)
    }
  }

  function check(): void {
    for (const document of cluster.pipelines()) {
      const serving = servingPipelineVersion(document)
      if (document.serving !== undefined) expect(serving).toBeDefined() // I4: never forgotten
      if (document.route !== undefined) expect(serving).toBeDefined() // I1
      // I3: what Envoy follows is not taken from gateways that are connected, but for one that was told to load anew.
      if (followed.has(document.name)) expect(document.unloading).toBeUndefined()
    }
    for (const name of followed) expect(cluster.pipeline(name)).toBeDefined() // I3
    const chosen = [...cluster.gateways()].filter(({ ready }) => ready)
    const complete = chosen.filter(({ name }) => streams.get(name)?.holdings.missing() === 0)
    for (const { name } of complete)
      for (const document of cluster.pipelines()) {
        const serving = servingPipelineVersion(document)
        if (serving !== undefined && document.route !== undefined) expect(holds(name, serving.uid)).toBe(true)
      }
  }

  return { act, check, settle, cluster, plans, streams }
}

test('whatever happens in which order, what serves is held, and all ends as users want it', () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 40, maxLength: 150, size: 'max' }), (history) => {
      const simulation = createSimulation()
      for (const step of history) {
        simulation.act(step)
        simulation.check()
      }
      simulation.settle()
      simulation.check()
      for (const name of PIPELINES) {
        const document = simulation.cluster.pipeline(name)
        if (document !== undefined) expect(document.status.state).toBe('PipelineReady') // a deleted one is gone
        const wanted = document?.versions.at(-1)?.uid
        for (const plans of simulation.plans.values()) {
          expect(plans.running(name)?.uid).toBe(wanted)
          expect(plans.held().filter((plan) => plan.pipeline === name)).toHaveLength(wanted === undefined ? 0 : 1)
        }
      }
      expect([...simulation.cluster.gateways()].map(({ ready }) => ready)).toEqual([true, true, true])
    }),
    { numRuns: 300 },
  )
}, 20_000)
