import { describe, expect, test } from 'vitest'
import { ServingError } from '../../../../kit/errors.ts'
import {
  modelIssues,
  parseModelDraft,
  parseServerDraft,
  scalingIssues,
  type ModelDraft,
} from '../../../../scheduler/domain/validate.ts'
import { toScaling, UNLIMITED_REPLICAS } from '../../../../api/resources/rules.ts'

const draft = (fields: Partial<ModelDraft> = {}): ModelDraft => ({
  name: 'iris',
  storageUri: '/models/iris',
  ...fields,
})
const paths = (fields: Partial<ModelDraft>): readonly string[] => modelIssues(draft(fields)).map(({ path }) => path)

describe('names', () => {
  test.each(['111', 'a-a-a', 'this-name-is-valid1234', 'a', 'a'.repeat(63)])('%s is a good name', (name) => {
    expect(modelIssues(draft({ name }))).toEqual([])
  })
  test.each(['', '--', '1--', '--a', 'Upper', 'this.Name', 'iris_1', '_mesh', 'a'.repeat(64), 'ä'])(
    '"%s" is refused',
    (name) => {
      expect(paths({ name })).toEqual(['metadata.name'])
    },
  )
  test('a dot is named in the message, with the name', () => {
    expect(modelIssues(draft({ name: 'this.name' }))[0]?.message).toMatch(/"this\.name".*no dots/)
  })
})

describe('scaling', () => {
  const cases: readonly [number | undefined, number | undefined, number | undefined, boolean][] = [
    [1, 2, 4, false],
    [5, 1, 4, false],
    [0, 1, undefined, false],
    [6, 6, 4, false],
    [undefined, 5, 4, false],
    [undefined, 2, undefined, true],
    [undefined, undefined, 2, true],
    [0, 0, 4, true],
    [3, 0, 0, true],
    [2, 1, 4, true],
    [-1, 0, 4, false],
    [1.5, 0, 4, false],
  ]
  test.each(cases)('replicas %s, min %s, max %s is good: %s', (replicas, minReplicas, maxReplicas, isGood) => {
    const triple = {
      ...(replicas === undefined ? {} : { replicas }),
      ...(minReplicas === undefined ? {} : { minReplicas }),
      ...(maxReplicas === undefined ? {} : { maxReplicas }),
    }
    expect(scalingIssues(triple).length === 0).toBe(isGood)
  })
  test('replicas default to the minimum, else to 1, and no maximum means no limit', () => {
    expect(toScaling({ minReplicas: 2 })).toEqual({ replicas: 2, minReplicas: 2, maxReplicas: UNLIMITED_REPLICAS })
    expect(toScaling({ maxReplicas: 2 })).toEqual({ replicas: 1, minReplicas: 0, maxReplicas: 2 })
  })
})

describe('fields', () => {
  test.each<[string, Partial<ModelDraft>, string]>([
    ['an empty storageUri', { storageUri: ' ' }, 'spec.storageUri'],
    ['memory beyond int64', { memoryBytes: 2n ** 63n }, 'spec.memory'],
    ['negative memory', { memoryBytes: -1 }, 'spec.memory'],
    ['a negative timeout', { timeoutMs: -1 }, 'spec.timeoutMs'],
    ['a bad server name', { server: 'a.b' }, 'spec.server'],
    ['an empty requirement', { requirements: ['onnx', ''] }, 'spec.requirements[1]'],
    [
      'a parameter given twice',
      {
        parameters: [
          { name: 'a', value: '1' },
          { name: 'a', value: '2' },
        ],
      },
      'spec.parameters[1].name',
    ],
    ['explainer and llm together', { explainer: { type: 'anchor' }, llm: {} }, 'spec.llm'],
    [
      'an explainer of a model and a pipeline',
      { explainer: { type: 'anchor', modelRef: 'a', pipelineRef: 'b' } },
      'spec.explainer',
    ],
    ['an empty topic', { streamSpec: { inputTopic: '', outputTopic: 'out' } }, 'spec.streamSpec.inputTopic'],
  ])('%s is refused', (_, fields, path) => {
    expect(paths(fields)).toEqual([path])
  })
  test('the largest memory is accepted', () => {
    expect(paths({ memoryBytes: 2n ** 63n - 1n })).toEqual([])
  })
})

test('every problem is told at once, in one error', () => {
  let error: unknown
  try {
    parseModelDraft({ name: 'Bad.Name', storageUri: '', replicas: 1, minReplicas: 2, maxReplicas: 4, timeoutMs: -5 })
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(ServingError)
  expect(error).toMatchObject({
    code: 'MODEL_SPEC_INVALID',
    issues: [
      { path: 'metadata.name' },
      { path: 'spec.storageUri' },
      { path: 'spec.timeoutMs' },
      { path: 'spec.replicas' },
    ],
  })
})

test('a good draft becomes an input with its defaults', () => {
  expect(parseModelDraft(draft({ requirements: ['onnx', 'onnx', ' x '], memoryBytes: 10n }))).toEqual({
    name: 'iris',
    spec: { storageUri: '/models/iris', requirements: ['onnx', 'x'], parameters: {}, memoryBytes: 10 },
    deployment: {
      replicas: 1,
      minReplicas: 0,
      maxReplicas: UNLIMITED_REPLICAS,
      logPayloads: false,
      cleanTopicsOnDelete: false,
      timeoutMs: 0,
    },
    labels: {},
  })
})

describe('servers', () => {
  test('a good one expects its replicas and is shared unless it says otherwise', () => {
    expect(parseServerDraft({ name: 'mlserver', replicas: 2 })).toMatchObject({ expectedReplicas: 2, shared: true })
    expect(parseServerDraft({ name: 'mlserver', shared: false }).shared).toBe(false)
  })
  test('a bad one lists every problem', () => {
    expect(() => parseServerDraft({ name: 'a.b', replicas: 5, maxReplicas: 4 })).toThrow(
      /metadata\.name.*spec\.replicas: 5 is more than maxReplicas 4/,
    )
  })
})
