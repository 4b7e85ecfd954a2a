import { describe, expect, it } from 'vitest'
import { GRPCInferenceService } from '../../../api/grpc.ts'
import { encodeElements } from '../../../api/oip/elements.ts'
import { toGrpcRequest, toGrpcResponse } from '../../../api/oip/grpc-inference.ts'
import type { Datatype } from '../../../api/oip/datatype.ts'
import { toShownRecord } from '../../../cli/inspect/decode.ts'
import { findRecords } from '../../../cli/inspect/find-records.ts'
import { parseInspectTarget } from '../../../cli/inspect/target.ts'
import { inspectionColumns } from '../../../cli/output/inspection.ts'
import { toTable } from '../../../cli/output/table.ts'
import { ERRORS, type TopicEnd } from '../../../dataflow/journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../../../dataflow/kafka/client.ts'

const { requestSerialize, responseSerialize } = GRPCInferenceService.service.ModelInfer
const pipeline = (side: 'inputs' | 'outputs'): TopicEnd => ({ kind: 'pipeline', name: 'p', side })
const model = (side: 'inputs' | 'outputs'): TopicEnd => ({ kind: 'model', name: 'a', side })

describe('what to inspect', () => {
  it.each([
    ['p', [pipeline('inputs'), pipeline('outputs')], undefined],
    ['p.inputs', [pipeline('inputs')], undefined],
    ['p.outputs.t', [pipeline('outputs')], 't'],
    ['p.a', [model('inputs'), model('outputs')], undefined],
    ['p.a.inputs', [model('inputs')], undefined],
    ['p.a.outputs.t', [model('outputs')], 't'],
    ['p.p.inputs', [pipeline('inputs')], undefined],
  ])('%s', (text, ends, tensor) => {
    expect(parseInspectTarget(text)).toEqual({ pipeline: 'p', ends, tensor })
  })

  it.each(['', '.a', 'p.', 'p.a.t', 'p.a.inputs.t.u', 'p..inputs', 'p.a.inputs.'])('%j is nothing', (text) => {
    expect(() => parseInspectTarget(text)).toThrow(/write <pipeline>/)
  })
})

const tensorOf = (name: string, datatype: Datatype, elements: unknown[]) => ({
  name,
  datatype,
  shape: [elements.length],
  bytes: encodeElements(name, datatype, elements),
  parameters: {},
})

const recordOf = (value: Buffer, headers: IncomingRecord['headers'] = []): IncomingRecord => ({
  topic: 't',
  partition: 1,
  offset: 7n,
  key: '1.p.r',
  rawKey: Buffer.from('1.p.r'),
  value,
  headers: [['pipeline', 'p'], ['x-request-id', 'r'], ['x-pipeline-version', '3'], ...headers],
  timestampMs: 0,
})

describe('a record', () => {
  const inputs = [
    tensorOf('big', 'INT64', [5n, 9_007_199_254_740_993n]),
    tensorOf('odd', 'FP32', [1.5, NaN]),
    tensorOf('texts', 'BYTES', ['cat', Buffer.from([0xff])]),
    tensorOf('half', 'FP16', [0.5]),
  ]
  const request = requestSerialize(toGrpcRequest({ id: 'r', parameters: {}, inputs, outputs: [] }, 'p', 'raw'))

  it('shows raw contents by their datatypes, exactly', () => {
    const shown = toShownRecord(recordOf(request), pipeline('inputs'), undefined)
    expect(shown).toMatchObject({ edge: 'p.inputs', offset: '7', requestId: 'r', version: '3' })
    expect(shown.content).toEqual({
      tensors: [
        { name: 'big', datatype: 'INT64', shape: [2], data: [5, '9007199254740993'] },
        { name: 'odd', datatype: 'FP32', shape: [2], data: [1.5, 'NaN'] },
        { name: 'texts', datatype: 'BYTES', shape: [2], data: ['cat', '/w=='] },
        { name: 'half', datatype: 'FP16', shape: [1], data: [0.5] },
      ],
    })
  })

  it('of a response, one tensor only, is one line', () => {
    const outputs = [tensorOf('x', 'INT32', [1, 2, 3, 4, 5, 6, 7, 8, 9]), tensorOf('y', 'BOOL', [true])]
    const response = { modelName: 'a', modelVersion: '1', id: '', parameters: {}, outputs }
    const value = responseSerialize(toGrpcResponse(response, 'raw'))
    const shown = toShownRecord(recordOf(value), model('outputs'), 'x')
    const [, line] = toTable(inspectionColumns(true), [shown])
    expect(line).toContain('x INT32[9] 1,2,3,4,5,6,7,8,…')
    expect(line).not.toContain('BOOL')
  })

  it('of an error is its text, and what is no message is said to be none', () => {
    const failed = recordOf(Buffer.from('out of memory'), [['seldon-pipeline-errors', 'a']])
    expect(toShownRecord(failed, pipeline('outputs'), undefined).content).toEqual({
      error: 'out of memory',
      failed: 'a',
    })
    expect(toShownRecord(recordOf(Buffer.from('x')), ERRORS, undefined).content).toMatchObject({ error: 'x' })
    const broken = toShownRecord(recordOf(Buffer.from([0xff, 0xff])), model('inputs'), undefined)
    expect(broken.content).toMatchObject({ bytes: 2, undecodable: expect.any(String) as string })
  })
})

describe('looking back', () => {
  /** A topic of one partition whose records have their offset as key. */
  function topicOf(length: number) {
    const fetches: bigint[] = []
    const at = (offset: number) => [{ topic: 't', partition: 0, offset: BigInt(offset) }]
    const reader = {
      positions: (_topics, where) => Promise.resolve(at(where === 'earliest' ? 0 : length)),
      fetch: ([position]) => {
        const from = Number(position?.offset)
        fetches.push(BigInt(from))
        const offsets = Array.from({ length: Math.min(100, length - from) }, (_, index) => from + index)
        const records = offsets.map((offset) => ({
          ...recordOf(Buffer.alloc(0)),
          partition: 0,
          offset: BigInt(offset),
          key: String(offset),
          timestampMs: offset,
        }))
        return Promise.resolve({ records, next: at(from + offsets.length) })
      },
    } as Pick<KafkaReader, 'positions' | 'fetch'> as KafkaReader
    return { reader, fetches, ends: at(length) }
  }

  it('finds the last ones without reading the rest', async () => {
    const { reader, fetches, ends } = topicOf(10_000)
    const found = await findRecords(reader, ends, 3, () => true)
    expect(found.map(({ key }) => key)).toEqual(['9997', '9998', '9999'])
    expect(fetches).toEqual([9_997n])
  })

  it('goes further back for what is rare, to the beginning when it must', async () => {
    const { reader, ends } = topicOf(2_000)
    const found = await findRecords(reader, ends, 2, ({ key }) => ['3', '1500', '1600'].includes(key))
    expect(found.map(({ key }) => key)).toEqual(['1500', '1600'])
    expect(await findRecords(reader, ends, 5, ({ key }) => key === '3')).toHaveLength(1)
    expect(await findRecords(reader, ends, 5, () => false)).toEqual([])
  })
})
