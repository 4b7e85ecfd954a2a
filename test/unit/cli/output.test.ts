import { describe, expect, it } from 'vitest'
import { formatBytes, toDocument } from '../../../cli/output/format.ts'
import { createdAt, versionText } from '../../../cli/output/model-table.ts'
import { briefReason, stateColour } from '../../../cli/output/state.ts'
import { type Column, toTable } from '../../../cli/output/table.ts'
import { selectWorkers, UNIT_COLUMNS, workerColumns } from '../../../cli/output/worker-table.ts'
import { judge } from '../../../cli/wait.ts'
import type { Worker } from '../../../api/resources/worker.ts'
import { parseResource } from '../../../api/resources/resource.ts'
import type { ModelStatus, StoredExperiment, StoredModel, StoredPipeline } from '../../../api/resources/status.ts'
import { experiment, pipeline } from '../../support/manifests.ts'

const model = (status: ModelStatus, generation?: number): StoredModel => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Model',
  metadata: { name: 'iris', ...(generation === undefined ? {} : { generation }) },
  spec: { storageUri: '/m' },
  status,
})

describe('tables', () => {
  interface Row {
    readonly name: string
    readonly reason: string
  }
  const columns: readonly Column<Row>[] = [
    { title: 'NAME', cell: ({ name }) => name, paint: (text) => `<${text}>` },
    { title: 'REASON', cell: ({ reason }) => reason },
  ]

  it('are as wide as their widest cell, whatever the colours, with no blanks at the end', () => {
    const rows = [
      { name: 'a', reason: '' },
      { name: 'longer', reason: 'two\n  lines' },
    ]
    expect(toTable(columns, rows)).toEqual(['NAME     REASON', '<a     >   -', '<longer>   two lines'])
  })

  it('have their titles even when they are empty', () => {
    expect(toTable(columns, [])).toEqual(['NAME   REASON'])
  })
})

describe('workers', () => {
  const worker = (name: string, units: Worker['units']): Worker => ({
    role: 'engine',
    name,
    connectedSince: '2026-01-01T00:00:00Z',
    draining: false,
    units,
  })
  const workers = [
    worker('engine-0', [
      { name: 'p', lagRecords: 3 },
      { name: 'q', lagRecords: 4 },
    ]),
    worker('engine-1', [{ name: 'r' }]),
  ]

  it('are told with what they own and how far behind they are', () => {
    expect(toTable(workerColumns(Date.parse('2026-01-01T00:01:00Z')), workers)).toEqual([
      'NAME       ROLE     STATE       UNITS   LAG   CONNECTED   REMARK',
      'engine-0   engine   connected   2       7     60s         -',
      'engine-1   engine   connected   1       -     60s         -',
    ])
    expect(toTable(UNIT_COLUMNS, workers[0]?.units ?? [])).toEqual(['UNIT   LAG', 'p      3', 'q      4'])
  })

  it('are found by name', () => {
    expect(selectWorkers(workers, undefined)).toEqual(workers)
    expect(selectWorkers(workers, 'engine-1')).toEqual([workers[1]])
    expect(() => selectWorkers(workers, 'engine-2')).toThrow(
      'worker engine-2 is not connected: there are engine-0, engine-1',
    )
  })
})

describe('documents', () => {
  it('are one document, a List or a YAML stream', () => {
    expect(toDocument('json', [{ a: 1 }], true)).toBe('{\n  "a": 1\n}')
    expect(JSON.parse(toDocument('json', [{ a: 1 }], false))).toEqual({
      apiVersion: 'v1',
      kind: 'List',
      items: [{ a: 1 }],
    })
    expect(toDocument('yaml', [{ a: 1 }, { b: 2 }], false)).toBe('a: 1\n---\nb: 2')
  })

  it.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_024, '1.0 KiB'],
    [1_610_612_736, '1.5 GiB'],
    [Number.MAX_SAFE_INTEGER, '8.0 PiB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })
})

describe('models', () => {
  it('show the version that answers beside the one that is wanted', () => {
    expect(versionText(model({ version: 3, servingVersion: 2 }))).toBe('2 -> 3')
    expect(versionText(model({ version: 3, servingVersion: 3 }))).toBe('3')
    expect(versionText(model({ version: 1 }))).toBe('1')
    expect(versionText(model({}))).toBe('')
  })

  it('are as old as their oldest known version', () => {
    const history = [
      { version: 1, storageUri: '/m', at: '2026-01-01T00:00:00Z' },
      { version: 2, storageUri: '/m', at: '2026-02-01T00:00:00Z' },
    ]
    expect(createdAt(model({ history }))).toBe('2026-01-01T00:00:00Z')
  })

  it.each([
    ['ModelAvailable', 'green'],
    ['ServerReady', 'green'],
    ['ModelProgressing', 'yellow'],
    ['ScheduleFailed', 'red'],
    ['ServerUnavailable', 'red'],
    ['PipelineReady', 'green'],
    ['PipelineCreating', 'yellow'],
    ['PipelineFailed', 'red'],
    ['ExperimentActive', 'green'],
    ['ExperimentInactive', 'yellow'],
    [undefined, 'dim'],
  ])('in state %s are %s', (state, colour) => {
    expect(stateColour(state)).toBe(colour)
  })
})

describe('reasons', () => {
  it('are cut in lists, where a line should not wrap', () => {
    expect(briefReason('short')).toBe('short')
    expect(briefReason('x'.repeat(81))).toBe(`${'x'.repeat(77)}...`)
    expect(briefReason(undefined)).toBe('')
  })
})

describe('judge', () => {
  const verdictOf = (status: ModelStatus, condition: 'available' | 'deleted', generation?: number) =>
    judge({ kind: 'state', resource: model(status, generation) }, condition).kind

  it.each([
    ['ModelAvailable', 'available', 'met'],
    ['ModelProgressing', 'available', 'pending'],
    ['ModelScaledDown', 'available', 'pending'],
    ['ModelFailed', 'available', 'impossible'],
    ['ScheduleFailed', 'available', 'impossible'],
    ['ModelTerminating', 'deleted', 'pending'],
    ['ModelFailed', 'deleted', 'pending'],
    ['ModelTerminateFailed', 'deleted', 'impossible'],
  ] as const)('%s waiting for %s is %s', (state, condition, verdict) => {
    expect(verdictOf({ state }, condition)).toBe(verdict)
  })

  it('waits for a load that failed and is tried again by itself', () => {
    expect(judge({ kind: 'state', resource: model({ state: 'ModelFailed', retrying: true }) }, 'available').kind).toBe(
      'pending',
    )
    expect(judge({ kind: 'state', resource: model({ state: 'ModelFailed' }) }, 'available').kind).toBe('impossible')
  })

  it('waits while the status is of an earlier spec, or an earlier version answers', () => {
    expect(verdictOf({ state: 'ModelAvailable', observedGeneration: 1 }, 'available', 2)).toBe('pending')
    expect(verdictOf({ state: 'ModelFailed', observedGeneration: 1 }, 'available', 2)).toBe('pending')
    expect(verdictOf({ state: 'ModelAvailable', version: 2, servingVersion: 1 }, 'available')).toBe('pending')
    expect(verdictOf({ state: 'ModelAvailable', version: 2, servingVersion: 2 }, 'available')).toBe('met')
  })

  it.each([
    [{ state: 'PipelineReady', modelsReady: true }, 'met'],
    [{ state: 'PipelineReady', modelsReady: false }, 'pending'],
    [{ state: 'PipelineReady', modelsReady: true, version: 2, servingVersion: 1 }, 'pending'],
    [{ state: 'PipelineCreating' }, 'pending'],
    [{ state: 'PipelineFailed' }, 'impossible'],
  ] as const)('a pipeline that is %j is %s', (status, verdict) => {
    const resource = { ...(parseResource(pipeline({ steps: [{ name: 'a' }] })) as StoredPipeline), status }
    expect(judge({ kind: 'state', resource }, 'available').kind).toBe(verdict)
  })

  it('an experiment is available when requests follow it', () => {
    const spec = { candidates: [{ name: 'a', weight: 1 }] }
    const resource = parseResource(experiment(spec)) as StoredExperiment
    const verdictIn = (state: string) =>
      judge({ kind: 'state', resource: { ...resource, status: { state } } }, 'available').kind
    expect([verdictIn('ExperimentActive'), verdictIn('ExperimentInactive')]).toEqual(['met', 'pending'])
  })

  it('says which models a pipeline waits for', () => {
    const status = { state: 'PipelineReady', modelsReady: false, missingModels: ['b'] }
    const resource = { ...(parseResource(pipeline({ steps: [{ name: 'b' }] })) as StoredPipeline), status }
    expect(judge({ kind: 'state', resource }, 'available')).toMatchObject({
      reason: 'PipelineReady; models that are not available: b',
    })
  })

  it('takes a deletion for the end of either wait', () => {
    expect(judge({ kind: 'deleted', name: 'iris' }, 'deleted').kind).toBe('met')
    expect(judge({ kind: 'deleted', name: 'iris' }, 'available').kind).toBe('impossible')
  })
})
