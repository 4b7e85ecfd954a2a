import fc from 'fast-check'
import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import { checkFields } from '../../../api/resources/check.ts'
import { ExperimentSchema } from '../../../api/resources/experiment.ts'
import { memoryBytesOf, ModelSchema, requirementsOf } from '../../../api/resources/model.ts'
import { PipelineSchema } from '../../../api/resources/pipeline.ts'
import { type ModelResource, parseResource, warningsOf } from '../../../api/resources/resource.ts'
import { ServerSchema } from '../../../api/resources/server.ts'
import { parseStoredResource } from '../../../api/resources/status.ts'
import { type Issue, ServingError } from '../../../kit/errors.ts'
import { everyExperimentField, everyPipelineField, experiment, pipeline } from '../../support/manifests.ts'

const apiVersion = 'mlops.seldon.io/v1alpha1'
const model = (spec: object, others: object = {}) => ({
  apiVersion,
  kind: 'Model',
  metadata: { name: 'iris' },
  spec: { storageUri: '/models/iris', ...spec },
  ...others,
})
const server = (spec: object) => ({ apiVersion, kind: 'Server', metadata: { name: 'mlserver' }, spec })

function refusalOf(raw: unknown): ServingError {
  try {
    parseResource(raw)
  } catch (error) {
    if (error instanceof ServingError) return error
  }
  throw new Error('was accepted')
}
const issuesOf = (raw: unknown): readonly Issue[] => refusalOf(raw).issues

const everyModelField = {
  modelType: 'onnx',
  artifactVersion: 3,
  schemaUri: 's',
  secretName: 'minio',
  requirements: ['onnx', 'gpu'],
  memory: '100Ki',
  replicas: 2,
  minReplicas: 1,
  maxReplicas: 3,
  server: 'mlserver',
  preloaded: true,
  dedicated: false,
  logger: { percent: 50 },
  explainer: { type: 'anchor_tabular', modelRef: 'income' },
  parameters: [{ name: 'threshold', value: '0.5' }],
  dataflow: { cleanTopicsOnDelete: true },
  timeoutMs: 1_000,
}

describe('resource', () => {
  it('accepts a Model with every field and gives it back as it was', () => {
    const raw = model(everyModelField)
    expect(parseResource(raw)).toEqual(raw)
  })

  it('reports what rules refuse together with what the structure refuses', () => {
    const raw = model(
      {
        ...everyModelField,
        storagUri: '/m',
        minReplicas: 5,
        server: 'Upper',
        llm: { modelRef: 'a', pipelineRef: 'b' },
        parameters: [
          { name: 'a', value: '' },
          { name: 'a', value: '' },
        ],
      },
      { metadata: { name: 'x'.repeat(64) } },
    )
    expect(issuesOf(raw).map(({ path }) => path)).toEqual([
      'metadata.name',
      'spec.server',
      'spec.storagUri',
      'spec.llm',
      'spec.minReplicas',
      'spec.replicas',
      'spec.llm',
      'spec.parameters[1].name',
    ])
  })

  it('drops the status, so that what was printed can be applied again', () => {
    const raw = model({}, { status: { state: 'ModelAvailable' } })
    expect(parseResource(raw)).toEqual(model({}))
  })

  it('accepts the metadata that a cluster adds', () => {
    const metadata = { name: 'iris', uid: 'u', resourceVersion: '7', creationTimestamp: null, managedFields: [{}] }
    expect(parseResource(model({}, { metadata })).metadata.name).toBe('iris')
  })

  it('reports every problem at once, each with its path', () => {
    const raw = {
      apiVersion: 'mlops.seldon.io/v1',
      kind: 'Model',
      metadata: { name: '', lables: {} },
      spec: {
        storagUri: '/m',
        requirements: ['a', 3],
        memory: '1Zi',
        replicas: -1,
        minReplicas: 1.5,
        server: 7,
        preloaded: 'yes',
        logger: { percent: 101 },
        parameters: [{ name: 'a' }, { name: 'b', value: 1 }, 'c'],
        explainer: { modelRef: 'm' },
      },
    }
    const issues = issuesOf(raw)
    expect(issues).toEqual([
      { path: 'apiVersion', message: '"mlops.seldon.io/v1" is not allowed; use mlops.seldon.io/v1alpha1' },
      { path: 'metadata.name', message: 'is empty: give the resource a name' },
      { path: 'metadata.lables', message: 'unknown field; did you mean labels?' },
      { path: 'spec.storagUri', message: 'unknown field; did you mean storageUri?' },
      { path: 'spec.requirements[1]', message: 'must be text, not 3' },
      {
        path: 'spec.memory',
        message: '"1Zi" is not a quantity; write bytes as 100Ki, 1.5Gi, 334e6, 1G or a number',
      },
      { path: 'spec.replicas', message: 'must be at least 0, not -1' },
      { path: 'spec.minReplicas', message: 'must be a whole number, not 1.5' },
      { path: 'spec.server', message: 'must be text, not 7' },
      { path: 'spec.preloaded', message: 'must be true or false, not "yes"' },
      { path: 'spec.logger.percent', message: 'must be at most 100, not 101' },
      { path: 'spec.parameters[0].value', message: 'is required' },
      { path: 'spec.parameters[1].value', message: 'must be text, not 1' },
      { path: 'spec.parameters[2]', message: 'must be a mapping, not "c"' },
      { path: 'spec.explainer.type', message: 'is required' },
      { path: 'spec.storageUri', message: 'is required' },
    ])
    expect(refusalOf(raw).code).toBe('MANIFEST_INVALID')
    expect(refusalOf(raw).message).toContain('spec.storagUri: unknown field; did you mean storageUri?')
  })

  it.each([
    ['nothing', undefined, '(document)', 'must be a mapping'],
    ['null', null, '(document)', 'must be a mapping'],
    ['a list', [model({})], '(document)', 'must be a mapping'],
    ['no kind', { apiVersion }, 'kind', 'is required; use Model, Server, Pipeline or Experiment'],
    ['a misspelt kind', { kind: 'model' }, 'kind', 'did you mean Model?'],
    ['another kind', { kind: 'Deployment' }, 'kind', 'use Model, Server, Pipeline or Experiment'],
    ['a kind that is no text', { kind: {} }, 'kind', 'is not a kind'],
  ])('refuses %s', (_name, raw, path, message) => {
    const issues = issuesOf(raw)
    expect(issues).toHaveLength(1)
    expect(issues[0]?.path).toBe(path)
    expect(issues[0]?.message).toContain(message)
  })

  it('takes the names of Object.prototype for unknown fields', () => {
    const raw = model(JSON.parse('{"__proto__": 1, "constructor": 2, "toString": 3}') as object)
    expect(issuesOf(raw).map((issue) => issue.path)).toEqual(['spec.__proto__', 'spec.constructor', 'spec.toString'])
  })

  it('takes counts and shares of a rolling update, and refuses one that could never move', () => {
    const update = (maxSurge: unknown, maxUnavailable: unknown) =>
      model({ rollingUpdate: { maxSurge, maxUnavailable } })
    const refused = (raw: unknown) => issuesOf(raw).map(({ path }) => path)
    for (const good of [update(1, 0), update('25%', '100%')]) expect(() => parseResource(good)).not.toThrow()
    expect(refused(update(0, '0%'))).toEqual(['spec.rollingUpdate'])
    expect(refused(update('110%', -1))).toEqual(['spec.rollingUpdate.maxSurge', 'spec.rollingUpdate.maxUnavailable'])
  })

  it('accepts a Server without an orchestrator, and warns of what is only stored', () => {
    const resource = parseResource(server({ replicas: 2, podSpec: { containers: [{ name: 'mlserver' }] } }))
    expect(warningsOf(resource)).toEqual(['spec.podSpec: is stored, not acted upon without an orchestrator'])
  })

  it('refuses a claim policy that does not exist', () => {
    const issues = issuesOf(server({ statefulSetPersistentVolumeClaimRetentionPolicy: { whenScaled: 'Drop' } }))
    expect(issues).toEqual([
      {
        path: 'spec.statefulSetPersistentVolumeClaimRetentionPolicy.whenScaled',
        message: '"Drop" is not allowed; use Retain or Delete',
      },
    ])
  })

  it('warns of each declared field that does nothing', () => {
    const raw = model(everyModelField, { metadata: { name: 'iris', annotations: { a: 'b' } } })
    expect(warningsOf(parseResource(raw)).map((warning) => warning.split(':')[0])).toEqual([
      'metadata.annotations',
      'spec.schemaUri',
      'spec.secretName',
      'spec.maxReplicas',
      'spec.preloaded',
      'spec.dedicated',
      'spec.logger',
      'spec.dataflow',
      'spec.logger.percent',
    ])
    expect(warningsOf(parseResource(model({ memory: 1, timeoutMs: 5, requirements: [] })))).toEqual([])
  })

  it('reads memory exactly, and the model type as one more requirement', () => {
    const { spec } = parseResource(
      model({ memory: '1.5Gi', modelType: 'onnx', requirements: ['gpu'] }),
    ) as ModelResource
    expect(memoryBytesOf(spec)).toBe(1_610_612_736)
    expect(requirementsOf(spec)).toEqual(['gpu', 'onnx'])
    expect(memoryBytesOf({ storageUri: '/m' })).toBeUndefined()
  })

  it('reads what the scheduler sends, and says when it is no resource', () => {
    const stored = { ...model({}), status: { state: 'ModelAvailable', somethingNewer: 1 } }
    expect(parseStoredResource(JSON.stringify(stored))).toEqual(stored)
    expect(() => parseStoredResource('{"kind":"Other"}')).toThrow(/no resource but Other/)
    expect(() => parseStoredResource('nonsense')).toThrow(ServingError)
  })
})

describe('our checker and TypeBox', () => {
  const KNOWN = [
    'additionalProperties',
    'anyOf',
    'const',
    'items',
    'maxItems',
    'maximum',
    'minLength',
    'minimum',
    'pattern',
    'patternProperties',
    'properties',
    'refusal',
    'required',
    'rules',
    'type',
  ]
  /** Keywords of a schema and of all schemas within it; names of fields are none. */
  function keywordsOf(schema: object): readonly string[] {
    const { properties = {}, patternProperties = {}, items, anyOf = [] } = schema as Record<string, object | undefined>
    const within = [...Object.values(properties), ...Object.values(patternProperties), items, ...Object.values(anyOf)]
    return [
      ...Object.keys(schema),
      ...within.flatMap((inner) => (inner === undefined ? [] : keywordsOf(inner as object))),
    ]
  }

  it.each([ModelSchema, ServerSchema, PipelineSchema, ExperimentSchema])(
    'a schema says nothing that is not checked',
    (schema) => {
      expect(
        [...new Set(keywordsOf(schema))].filter((keyword) => !KNOWN.includes(keyword) && !keyword.startsWith('~')),
      ).toEqual([])
    },
  )

  const leaf = fc.oneof(
    fc.constantFrom<unknown>('a', '', 0, 1, -1, 1.5, 2 ** 31, 2 ** 32, true, null, 'Retain', '1Ki', [], {}),
    fc.array(fc.oneof(fc.string(), fc.integer())),
    fc.record(
      { name: fc.string(), value: fc.string(), percent: fc.integer(), type: fc.string() },
      { requiredKeys: [] },
    ),
  )
  const mutated = (base: object, fields: readonly string[]) =>
    fc
      .tuple(fc.dictionary(fc.constantFrom(...fields), leaf, { maxKeys: 4 }), fc.boolean())
      .map(([changes, deep]) =>
        deep ? { ...base, spec: { ...(base as { spec: object }).spec, ...changes } } : { ...base, ...changes },
      )
  const top = ['apiVersion', 'kind', 'metadata', 'spec', 'status', 'other']

  it.each([
    ['Model', ModelSchema, model(everyModelField), [...top, ...Object.keys(everyModelField), 'llm', 'storageUri']],
    [
      'Server',
      ServerSchema,
      server({ replicas: 1 }),
      [...top, ...Object.keys(ServerSchema.properties.spec.properties)],
    ],
    ['Pipeline', PipelineSchema, pipeline({ steps: [] }), [...top, ...Object.keys(everyPipelineField)]],
    ['Experiment', ExperimentSchema, experiment({}), [...top, ...Object.keys(everyExperimentField)]],
  ])('agree on every mutated %s', (_kind, schema, base, fields) => {
    fc.assert(
      fc.property(mutated(base, fields), (value) => {
        const issues = checkFields(schema, value).filter((issue) => issue.isRule !== true) // rules are ours alone
        expect(issues.length === 0).toBe(Value.Check(schema, value))
      }),
      { numRuns: 2_000 },
    )
  })
})
