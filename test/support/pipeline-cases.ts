/**
 * The acceptance cases of pipelines that ask and compare tensors, by number of the reference's list: who feeds a pipeline in
 * another way gets the same. On the samples, and on a few pipelines that no sample shows.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { waitFor } from '../../cli/wait.ts'
import { parseManifests } from '../../api/resources/manifest.ts'
import type { ModelResource, PipelineResource } from '../../api/resources/resource.ts'
import { packageRoot } from '../../kit/root.ts'
import { untilAvailable } from './models.ts'

const MODELS = join(packageRoot, 'samples/models')
const PIPELINES = join(packageRoot, 'samples/pipelines')
export const CASE_MODELS = [
  'tfsimple1',
  'tfsimple2',
  'tfsimple3',
  'add10',
  'mul10',
  'conditional',
  'check',
  'counter',
  'identity-loop',
  'identity-output',
  'outlier-error',
]
const SAMPLES = [
  'tfsimples',
  'tfsimples-input',
  'tfsimples-join',
  'tfsimples-join-outlier',
  'pipeline-inputs',
  'conditional',
  'trigger-joins',
  'counter',
  'error',
  'version-test-a',
]
const READY_MS = 30_000

type Resource = ModelResource | PipelineResource

function resourcesOf(folder: string, file: string): readonly Resource[] {
  const text = readFileSync(join(folder, file), 'utf8')
  return parseManifests(text, { name: file, folder }).map(({ resource }) => resource as Resource)
}

/** A model of `samples/models`, alone in its file. */
export function sampleModel(name: string): ModelResource {
  const [model] = resourcesOf(MODELS, `${name}.yaml`)
  if (model?.kind !== 'Model') throw new Error(`samples/models/${name}.yaml has no model`)
  return model
}

export const samplePipelines = (name: string): readonly Resource[] => resourcesOf(PIPELINES, `${name}.yaml`)

const pipeline = (name: string, spec: PipelineResource['spec']): PipelineResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Pipeline',
  metadata: { name },
  spec,
})

/** Of which only the chosen one runs. */
const BRANCHES: PipelineResource['spec']['steps'] = [
  { name: 'conditional' },
  {
    name: 'mul10',
    inputs: ['conditional.outputs.OUTPUT0'],
    tensorMap: { 'conditional.outputs.OUTPUT0': 'INPUT' },
  },
  {
    name: 'add10',
    inputs: ['conditional.outputs.OUTPUT1'],
    tensorMap: { 'conditional.outputs.OUTPUT1': 'INPUT' },
  },
]

/** Pipelines that no sample shows. */
const EXTRA: readonly PipelineResource[] = [
  pipeline('endless', {
    allowCycles: true,
    maxStepRevisits: 2,
    steps: [
      {
        name: 'add10',
        inputs: ['endless.inputs.INPUT', 'add10.outputs.OUTPUT'],
        inputsJoinType: 'any',
        tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' },
      },
      {
        name: 'mul10',
        inputs: ['add10'],
        tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' },
        triggers: ['add10.outputs.stop'],
      },
    ],
    output: { steps: ['mul10'] },
  }),
  pipeline('outer-branches', {
    steps: BRANCHES,
    output: { steps: ['mul10', 'add10'], stepsJoin: 'outer', joinWindowMs: 500 },
  }),
  pipeline('first-of-two', {
    steps: [{ name: 'add10' }, { name: 'mul10', inputs: ['add10'], tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' } }],
    output: { steps: ['mul10', 'add10'], stepsJoin: 'any' },
  }),
  pipeline('drift', { steps: [{ name: 'add10' }, { name: 'outlier-error' }], output: { steps: ['add10'] } }),
]

/** Resolves when all of them answer. `change` is made to every pipeline before it is applied. */
export async function applyCases(
  admin: AdminClient,
  change: (resource: PipelineResource) => PipelineResource = (resource) => resource,
): Promise<void> {
  const models = CASE_MODELS.map((name) => resourcesOf(MODELS, `${name}.yaml`)).flat()
  const all = [...models, ...SAMPLES.flatMap(samplePipelines), ...EXTRA]
  for (const resource of all) await admin.apply(resource.kind === 'Pipeline' ? change(resource) : resource)
  for (const { kind, metadata } of all) if (kind === 'Model') await untilAvailable(admin, metadata.name)
  for (const { kind, metadata } of all)
    if (kind === 'Pipeline') await waitFor(admin, { kind, name: metadata.name }, 'available', READY_MS)
}

export type Outputs = readonly (readonly [name: string, data: readonly unknown[]])[]

export interface PipelineCase {
  readonly name: string
  readonly pipeline: string
  readonly inputs: readonly object[]
  /** In their order, or the error's text. */
  readonly gives: Outputs | RegExp
  /** Over topics data may come from anywhere, so only the deadline ends it. */
  readonly isOpen?: true
}

export const floats = (name: string, ...data: number[]) => ({ name, datatype: 'FP32', shape: [data.length], data })
const ints = (name: string, ...data: number[]) => ({ name, datatype: 'INT32', shape: [data.length], data })
const ok = (name: string) => ({ name, datatype: 'INT32', shape: [1], data: [1] })
const ROW = Array.from({ length: 16 }, (_, index) => index + 1)
export const SIMPLE = ['INPUT0', 'INPUT1'].map((name) => ({ name, datatype: 'INT32', shape: [1, 16], data: ROW }))
const LARGE = SIMPLE.map((tensor) => ({ ...tensor, data: ROW.map((value) => value * 100) }))
const both = (data: readonly number[]): Outputs => [
  ['OUTPUT0', data],
  ['OUTPUT1', data],
]
const DOUBLED = both(ROW.map((value) => 2 * value))
const INPUT = floats('INPUT', 1, 2, 3, 4)
const PAIR = [floats('INPUT0', 1, 2, 3, 4), floats('INPUT1', 1, 2, 3, 4)]
const TENFOLD: Outputs = [['OUTPUT', [10, 20, 30, 40]]]
const PLUS_TEN: Outputs = [['OUTPUT', [11, 12, 13, 14]]]

export const PIPELINE_CASES: readonly PipelineCase[] = [
  {
    name: '27: a chain renames both outputs of its first step',
    pipeline: 'tfsimples',
    inputs: SIMPLE,
    gives: DOUBLED,
  },
  {
    name: "28: a step takes a tensor of another step's inputs and one of its outputs",
    pipeline: 'tfsimples-input',
    inputs: SIMPLE,
    gives: both(ROW),
  },
  { name: '29: a join takes one tensor of each of two steps', pipeline: 'join', inputs: SIMPLE, gives: DOUBLED },
  {
    name: "31: an inner join of outputs keeps both tensors of the same name, in the spec's order",
    pipeline: 'pipeline-inputs',
    inputs: PAIR,
    gives: [...TENFOLD, ...PLUS_TEN],
  },
  {
    name: '34: of a choice only the chosen step runs: the first',
    pipeline: 'conditional-branches',
    inputs: [ints('CHOICE', 0), ...PAIR],
    gives: TENFOLD,
  },
  {
    name: '34: of a choice only the chosen step runs: the second',
    pipeline: 'conditional-branches',
    inputs: [ints('CHOICE', 1), ...PAIR],
    gives: PLUS_TEN,
  },
  {
    name: '41, 43: one trigger decides which step runs, and is not given to it',
    pipeline: 'trigger-joins',
    inputs: [INPUT, ok('ok1')],
    gives: TENFOLD,
  },
  {
    name: '41, 43: another trigger runs the other step',
    pipeline: 'trigger-joins',
    inputs: [INPUT, ok('ok3')],
    gives: PLUS_TEN,
  },
  {
    name: '41: without a trigger the error names them',
    pipeline: 'trigger-joins',
    inputs: [INPUT],
    gives: /trigger-joins : .*ok[123]/,
    isOpen: true,
  },
  { name: '42: a check that passes', pipeline: 'joincheck', inputs: SIMPLE, gives: DOUBLED },
  {
    name: '42: a check that gives nothing lets the step behind it not run',
    pipeline: 'joincheck',
    inputs: LARGE,
    gives: /joincheck : .*check/,
    isOpen: true,
  },
  {
    name: '48: a cycle counts to ten',
    pipeline: 'counter-pipeline',
    inputs: [ints('counter', 0)],
    gives: [
      ['output', [10]],
      ['stop', [true]],
    ],
  },
  {
    name: '49: an endless loop ends after maxStepRevisits, with an error of the pipeline',
    pipeline: 'endless',
    inputs: [floats('INPUT', 1)],
    gives: /endless : ERROR:/,
  },
  {
    name: '18: an error of a step names the step',
    pipeline: 'error',
    inputs: [floats('INPUT', 1e9)],
    gives: /outlier-error : /,
  },
  {
    name: '37, 57: an outer join with one input missing answers once',
    pipeline: 'outer-branches',
    inputs: [ints('CHOICE', 0), ...PAIR],
    gives: TENFOLD,
  },
  {
    name: '39: any answers once, with the first',
    pipeline: 'first-of-two',
    inputs: [INPUT],
    gives: PLUS_TEN,
  },
  {
    name: 'a side branch that fails fails no request',
    pipeline: 'drift',
    inputs: [floats('INPUT', 1e9)],
    gives: [['OUTPUT', [1e9 + 10].map(Math.fround)]],
  },
]

/** What callers by REST are told with status 400: the class is of who failed. */
export const ERROR_CASES = [
  {
    name: '18: a step that refuses is named',
    pipeline: 'error',
    inputs: [floats('INPUT', 1e9)],
    told: { source: 'outlier-error' },
    error: /^outlier-error : /,
  },
  {
    name: '49: a loop that does not end is an error of its pipeline',
    pipeline: 'endless',
    inputs: [floats('INPUT', 1)],
    told: { source: 'endless', code: 'PIPELINE_LOOP_LIMIT' },
    error: /^endless : ERROR:/,
  },
] as const
