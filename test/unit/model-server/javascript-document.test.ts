import { describe, expect, it } from 'vitest'
import { ServingError } from '../../../kit/errors.ts'
import { parseModelDocument } from '../../../model-server/model-document.ts'
import { parseJavascriptDocument } from '../../../model-server/runtimes/javascript-document.ts'

const CEILINGS = { heapMb: 256, inferenceMs: 10_000, loadMs: 60_000 }
const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [-1] })
const parse = (raw: object) => parseJavascriptDocument(parseModelDocument(raw), CEILINGS)

function issuesOf(raw: object) {
  try {
    parse(raw)
  } catch (error) {
    if (error instanceof ServingError) return error.issues
  }
  throw new Error('was accepted')
}

describe('model.json of a JavaScript model', () => {
  it('declares its tensors, and may ask for less than the server allows', () => {
    const { inputs, outputs, limits } = parse({
      inputs: [tensor('a')],
      outputs: [tensor('b')],
      limits: { inferenceMs: 500 },
    })
    expect([inputs[0]?.name, outputs[0]?.name]).toEqual(['a', 'b'])
    expect(limits).toEqual({ heapMb: 256, inferenceMs: 500, loadMs: 60_000 })
  })

  it('with errors is refused, naming each', () => {
    const outputs = [tensor('b'), tensor('b'), { ...tensor('c'), source: 'd' }]
    expect(issuesOf({ outputs, limits: { heapMb: 1 } })).toEqual([
      { path: '/inputs', message: 'is missing: a JavaScript model declares name, datatype and shape of each' },
      { path: '/outputs/1/name', message: '"b" is declared twice' },
      { path: '/outputs/2/source', message: 'means nothing for a JavaScript model' },
      { path: '/limits/heapMb', message: 'must be >= 16' },
    ])
  })

  it('may not ask for more than the server allows', () => {
    expect(issuesOf({ inputs: [], outputs: [], limits: { heapMb: 257, loadMs: 60_000 } })).toEqual([
      { path: '/limits/heapMb', message: '257 is more than this server allows: 256 (--javascript-heap-mb)' },
    ])
  })
})
