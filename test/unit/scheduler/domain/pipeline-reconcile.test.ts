import { describe, expect, it } from 'vitest'
import { type ModelDocument, NEXT_COMMIT, type PipelineDocument } from '../../../../scheduler/domain/documents.ts'
import { settlePipeline } from '../../../../scheduler/domain/pipeline/facts.ts'
import { applyPipeline, refusePipelineRoute } from '../../../../scheduler/domain/pipeline/change.ts'
import type { PipelineContext } from '../../../../scheduler/domain/pipeline/gateways-view.ts'
import { reconcilePipeline } from '../../../../scheduler/domain/pipeline/reconcile.ts'
import { aModel } from '../../../support/documents.ts'
import {
  aPipelineVersion,
  failedFor,
  gatewaysThat,
  LOADED,
  pipelineContext,
  pipelineWith,
} from '../../../support/pipelines.ts'

const noModels = { model: () => undefined, pipeline: () => undefined }
const answering = (model: ModelDocument, availableReplicas: number): ModelDocument => ({
  ...model,
  status: { ...model.status, availableReplicas },
})
/** Until nothing changes; each step is committed at the next revision. */
function settle(pipeline: PipelineDocument, fields: Partial<PipelineContext>, cluster = noModels): PipelineDocument {
  let document = pipeline
  for (let revision = document.revision + 1; revision < document.revision + 20; revision += 1) {
    const next = reconcilePipeline(document, cluster, pipelineContext(fields))
    if (next.document === undefined || next.remove) return next.document ?? document
    document = { ...next.document, revision }
  }
  throw new Error('it does not settle')
}
const loadedBy = (...gateways: readonly string[]) =>
  gatewaysThat(Object.fromEntries(gateways.map((name) => [name, { 'uid-1': LOADED, 'uid-2': LOADED }])))
const serving = (fields: Partial<PipelineDocument> = {}): PipelineDocument =>
  pipelineWith('p', {
    revision: 5,
    versions: [aPipelineVersion(1), aPipelineVersion(2)],
    serving: 1,
    route: { sinceRevision: 3, ackedAtMs: 7 },
    ...fields,
  })

describe('a pipeline that was applied', () => {
  it('says that nobody can answer for it while no gateway is there', () => {
    const { status, serving: served, route } = settle(pipelineWith('p'), {})
    expect([status.state, served, route]).toEqual(['PipelineCreate', undefined, undefined])
    expect(status.reason).toContain('no pipeline gateway is connected')
  })

  it('is creating while a gateway loads it, and says which', () => {
    const gateways = gatewaysThat({ a: { 'uid-1': LOADED }, b: {} })
    expect(settle(pipelineWith('p'), { gateways }).status).toMatchObject({
      state: 'PipelineCreating',
      reason: 'Version 1 is loading on b',
    })
  })

  it('gets its route once every gateway has it, and is ready once the route is ACKed (I1, I2)', () => {
    const [first] = [reconcilePipeline(pipelineWith('p'), noModels, pipelineContext({ gateways: loadedBy('a', 'b') }))]
    expect(first.document).toMatchObject({ serving: 1, route: { sinceRevision: NEXT_COMMIT } })
    expect(first.document?.status.state).toBe('PipelineCreating')
    const waiting = settle(pipelineWith('p'), { gateways: loadedBy('a'), isAcked: () => false })
    expect(waiting.status.reason).toBe("Version 1 is loaded and waits for Envoy's ACK of its route")
    expect(settle(waiting, { gateways: loadedBy('a'), isAcked: () => 'no-node' }).status.reason).toContain('no Envoy')
    expect(settle(waiting, { gateways: loadedBy('a') })).toMatchObject({
      route: { sinceRevision: 1, ackedAtMs: 1_000 },
      status: { state: 'PipelineReady', reason: 'Version 1 serves' },
    })
  })

  it('names the models that do not answer, and does not wait for them', () => {
    const models: Readonly<Record<string, ModelDocument>> = {
      good: answering(aModel('good'), 1),
      loading: answering(aModel('loading'), 0),
      going: { ...answering(aModel('going'), 1), deleted: true },
    }
    const pipeline = pipelineWith('p', {
      versions: [aPipelineVersion(1, 'loading', 'good', 'absent', 'good', 'going')],
    })
    const { status } = settle(pipeline, { gateways: loadedBy('a') }, { model: (name: string) => models[name] } as never)
    expect(status).toMatchObject({ state: 'PipelineReady', missingModels: ['absent', 'going', 'loading'] })
  })
})

describe('a pipeline that is executed over topics', () => {
  const { spec, ...version } = aPipelineVersion(1, 'a', 'b')
  const pipeline = pipelineWith('p', {
    versions: [{ ...version, spec: { ...spec, dataflow: { execution: 'topics' } } }],
  })
  const gateways = { ...loadedBy('gateway-0'), journal: () => 'kept' as const }
  const engines = { areHere: () => true, readerOf: () => 'engine-0', said: () => LOADED }
  const modelGateways = { areHere: () => true, readerOf: () => 'model-gateway-0' }
  const all = { gateways, engines, modelGateways }
  const statusWith = (fields: Partial<PipelineContext>) => settle(pipeline, { ...all, ...fields }).status

  it('is ready when an engine owns it, a model gateway reads each of its models, and a gateway waits for its results', () => {
    expect(statusWith({})).toMatchObject({ state: 'PipelineReady', reason: 'Version 1 serves, over topics' })
    const oneCopy = statusWith({ gateways: { ...gateways, journal: () => 'one copy' } })
    expect(oneCopy).toMatchObject({
      state: 'PipelineReady',
      reason: expect.stringContaining('one copy of each') as string,
    })
  })

  it.each<readonly [string, Partial<PipelineContext>]>([
    ['no engine is connected', { engines: { ...engines, areHere: () => false } }],
    ['no engine reads its inputs', { engines: { ...engines, readerOf: () => undefined } }],
    ['engine engine-0 has not loaded it', { engines: { ...engines, said: () => ({ kind: 'nothing' }) } }],
    ['no model gateway is connected', { modelGateways: { areHere: () => false, readerOf: () => undefined } }],
    [
      'no model gateway reads the inputs of b',
      { modelGateways: { ...modelGateways, readerOf: (model) => (model === 'a' ? 'model-gateway-0' : undefined) } },
    ],
    ['no pipeline gateway with a Kafka is connected', { gateways: { ...gateways, journal: () => 'none' } }],
  ])('says that %s', (missing, fields) => {
    const { state, reason } = statusWith(fields)
    expect(state).toBe('PipelineCreating')
    expect(reason).toBe(`Version 1 is executed over topics, where requests wait for what is missing: ${missing}`)
  })

  it('names everything that is missing at once', () => {
    const { reason } = statusWith({
      engines: pipelineContext().engines,
      modelGateways: pipelineContext().modelGateways,
    })
    expect(reason).toContain('no engine is connected; no model gateway is connected')
  })

  it('has failed when its engine could not load it', () => {
    const said = statusWith({ engines: { ...engines, said: () => failedFor('no such thing') } })
    expect(said).toMatchObject({ state: 'PipelineFailed', reason: expect.stringContaining('no such thing') as string })
  })

  it('keeps its route while something is missing: requests wait in Kafka', () => {
    const ready = settle(pipeline, all)
    const after = settle(ready, { ...all, engines: { ...engines, areHere: () => false, readerOf: () => undefined } })
    expect(after).toMatchObject({ serving: 1, route: ready.route as object, status: { state: 'PipelineCreating' } })
  })
})

describe('a route that Envoy refused', () => {
  it('is taken back and said, and given again with the next version', () => {
    const refused = refusePipelineRoute(serving({ versions: [aPipelineVersion(1)] }), 'no such cluster (node envoy)')
    const { route, status } = settle(refused, { gateways: loadedBy('a') })
    expect(route).toBeUndefined()
    expect(status).toMatchObject({
      state: 'PipelineFailed',
      reason: 'Envoy refused its route: no such cluster (node envoy); apply it again',
    })
    const input = { name: 'p', labels: {}, spec: aPipelineVersion(1).spec }
    const { document } = applyPipeline({ ...refused, status }, input, 2_000, 'uid-2')
    expect(settle(document, { gateways: loadedBy('a') })).toMatchObject({ serving: 2, route: {} })
  })
})

describe('a record', () => {
  it('keeps the version that serves, however many failed after it (I4)', () => {
    let document = serving({ versions: [aPipelineVersion(1)] })
    for (let timeoutMs = 1; timeoutMs <= 20; timeoutMs += 1) {
      const input = { name: 'p', labels: {}, spec: { ...aPipelineVersion(1).spec, timeoutMs } }
      document = applyPipeline(document, input, 2_000, `uid-${String(timeoutMs + 1)}`).document
    }
    const numbers = document.versions.map(({ version }) => version)
    expect(numbers).toEqual([1, 13, 14, 15, 16, 17, 18, 19, 20, 21])
  })
})

describe('a new version', () => {
  it('serves when all gateways have it, and the route stays as it is', () => {
    expect(settle(serving(), { gateways: loadedBy('a', 'b') })).toMatchObject({
      serving: 2,
      route: { sinceRevision: 3, ackedAtMs: 7 },
      status: { state: 'PipelineReady', reason: 'Version 2 serves' },
    })
  })

  it.each([
    ['is loading', {}, 'PipelineCreating', 'Version 2 is loading on b; version 1 keeps serving'],
    [
      'failed',
      { 'uid-2': failedFor('no such thing') },
      'PipelineFailed',
      'Version 2 failed on b: no such thing (it is tried again by itself); version 1 keeps serving',
    ],
    [
      'failed for good',
      { 'uid-2': failedFor('no such thing', false) },
      'PipelineFailed',
      'Version 2 failed on b: no such thing (given up: correct the pipeline and apply it again); version 1 keeps serving',
    ],
  ] as const)('that one gateway %s leaves the old one serving (I4)', (_case, said, state, reason) => {
    const gateways = gatewaysThat({ a: { 'uid-1': LOADED, 'uid-2': LOADED }, b: { 'uid-1': LOADED, ...said } })
    expect(settle(serving(), { gateways })).toMatchObject({ serving: 1, status: { state, reason } })
  })

  it('does not serve, and the old one does, while no gateway is there', () => {
    expect(settle(serving(), {})).toMatchObject({ serving: 1, route: {}, status: { state: 'PipelineCreate' } })
  })
})

describe('a deleted pipeline', () => {
  const deleted = (): PipelineDocument => serving({ deleted: true })
  const gateways = loadedBy('a')

  it('leaves the routes first, and the gateways after the ACK and the drain time (I3)', () => {
    const off = settle(deleted(), { gateways, isAcked: () => false })
    expect(settlePipeline(off)).toMatchObject({ serving: 1, leaving: { sinceRevision: 6, unloadAtMs: 0 } })
    expect([off.route, off.status.state]).toEqual([undefined, 'PipelineTerminating'])
    const draining = reconcilePipeline(off, noModels, pipelineContext({ gateways }))
    expect(draining).toMatchObject({ document: { leaving: { unloadAtMs: 1_100 } }, wakeAtMs: 1_100, remove: false })
    const early = { gateways, nowMs: 1_099 }
    expect(settle(draining.document ?? off, early).unloading).toBeUndefined()
    expect(settle(draining.document ?? off, { ...early, nowMs: 1_100 })).toMatchObject({ unloading: true })
  })

  it('waits longer when no Envoy is there to ask', () => {
    const off = settle(deleted(), { gateways, isAcked: () => 'no-node' })
    expect(off).toMatchObject({ leaving: { unloadAtMs: 6_000 } })
  })

  it('is gone when every connected gateway has unloaded it', () => {
    const unloading = serving({ deleted: true, unloading: true })
    const say = (kind: 'asked' | 'unloaded' | 'failed') => ({
      ...gateways,
      unloads: () => [
        { gateway: 'a', kind: 'unloaded' as const, reason: '' },
        { gateway: 'b', kind, reason: 'no broker' },
      ],
    })
    const step = (kind: 'asked' | 'unloaded' | 'failed') =>
      reconcilePipeline(unloading, noModels, pipelineContext({ gateways: say(kind) }))
    expect(step('asked')).toMatchObject({ remove: false, document: { status: { reason: 'Deleted: unloading on b' } } })
    expect(step('failed')).toMatchObject({
      remove: false,
      document: { status: { state: 'PipelineFailedTerminating' } },
    })
    expect(step('unloaded')).toMatchObject({ remove: true })
  })

  it('that asks for its topics to be deleted waits for a gateway that does it', () => {
    const version = aPipelineVersion(1)
    const cleaning = { ...version, spec: { ...version.spec, dataflow: { cleanTopicsOnDelete: true } } }
    const unloading = { deleted: true, unloading: true } as const
    expect(reconcilePipeline(serving(unloading), noModels, pipelineContext())).toMatchObject({ remove: true })
    const waiting = reconcilePipeline(serving({ ...unloading, versions: [cleaning] }), noModels, pipelineContext())
    expect(waiting).toMatchObject({ remove: false, document: { status: { state: 'PipelineTerminating' } } })
  })

  it('has its topics deleted only when no gateway has it any more, and goes when that is done', () => {
    const version = aPipelineVersion(1)
    const cleaned = { ...version, spec: { ...version.spec, dataflow: { cleanTopicsOnDelete: true } } }
    const { route: _, ...unloading } = serving({ deleted: true, unloading: true, versions: [cleaned] })
    const step = (document: PipelineDocument, said: Readonly<Record<'unload' | 'clean', 'asked' | 'unloaded'>>) =>
      reconcilePipeline(
        document,
        noModels,
        pipelineContext({
          gateways: {
            ...gateways,
            unloads: (_, what) => [
              { gateway: 'a', kind: 'unloaded', reason: '' },
              { gateway: 'b', kind: said[what], reason: '' },
            ],
          },
        }),
      )
    const early = step(unloading, { unload: 'asked', clean: 'asked' })
    expect([early.remove, early.document?.cleaning]).toEqual([false, undefined])
    const cleaning = step(unloading, { unload: 'unloaded', clean: 'asked' })
    expect(cleaning).toMatchObject({
      remove: false,
      document: { cleaning: true, status: { reason: 'Deleted: deleting its topics on b' } },
    })
    expect(step(cleaning.document ?? unloading, { unload: 'unloaded', clean: 'unloaded' }).remove).toBe(true)
  })

  it('comes back when it is applied again, at any point of its end', () => {
    for (const stage of [
      {},
      { route: undefined, leaving: { sinceRevision: 4, unloadAtMs: 9 } },
      { unloading: true },
      { unloading: true, cleaning: true },
    ]) {
      const { route, ...rest } = serving(stage as Partial<PipelineDocument>)
      const again = settle({ ...rest, ...(route === undefined ? {} : { route }) }, { gateways })
      expect(again).toMatchObject({ serving: 2, route: {}, status: { state: 'PipelineReady' } })
      expect([again.leaving, again.unloading, again.cleaning]).toEqual([undefined, undefined, undefined])
    }
  })
})
