import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { validatePipeline } from '../../../dataflow/plan/validate.ts'

const issuesOf = (spec: PipelineSpec, name = 'p', known?: Readonly<Record<string, PipelineSpec>>) =>
  validatePipeline(name, spec, (other) => known?.[other])
const a = { name: 'a' }
const b = { name: 'b' }
const noStep = (text: string, name: string, there: string) =>
  `"${text}": no step of this pipeline is called "${name}"; there are ${there}`

describe('a good pipeline', () => {
  it.each<[string, PipelineSpec]>([
    ['one step', { steps: [a], output: { steps: ['a'] } }],
    ['no output', { steps: [a] }],
    [
      'every form of an inside reference',
      {
        steps: [
          a,
          { name: 'b', inputs: ['a', 'a.inputs', 'a.outputs.x', 'a.inputs.x', 'p', 'p.inputs', 'p.inputs.x'] },
        ],
        output: { steps: ['b', 'b.outputs', 'a.inputs', 'a.outputs.x'] },
      },
    ],
    [
      'every form of an outside reference',
      {
        steps: [a],
        input: {
          externalInputs: ['q', 'q.inputs', 'q.outputs.t', 'q.step.s', 'q.step.s.inputs', 'q.step.s.outputs.t'],
          externalTriggers: ['r', 'r.step.s.outputs'],
          tensorMap: { 'q.outputs.t': 'x', 'q.step.s.outputs.t': 'y' },
        },
      },
    ],
    [
      'triggers on tensors of an edge that other tensors come from',
      {
        steps: [a, { name: 'b', inputs: ['a.outputs.x'], triggers: ['a.outputs.y', 'p.inputs.z'] }],
      },
    ],
    [
      'renames of selected and of unselected tensors',
      {
        steps: [a, { name: 'b', inputs: ['a', 'p.inputs.x'], tensorMap: { 'a.outputs.y': 'z', 'p.inputs.x': 'w' } }],
      },
    ],
    [
      'a batch behind one edge of which two tensors are taken',
      {
        steps: [{ name: 'a', inputs: ['p.inputs.x', 'p.inputs.y'], batch: { size: 3 } }],
      },
    ],
    [
      'a loop that something from outside can begin',
      {
        steps: [
          { name: 'a', inputs: ['p', 'b'], inputsJoinType: 'any' },
          { name: 'b', inputs: ['a'] },
        ],
        allowCycles: true,
        maxStepRevisits: 100,
      },
    ],
  ])('%s has no issue', (_, spec) => {
    expect(issuesOf(spec)).toEqual([])
  })
})

describe('names', () => {
  it('of a pipeline, of steps, repeated or the same as the pipeline are refused', () => {
    const spec = { steps: [{ name: 'A_b' }, a, { name: 'a' }, { name: 'P.x' }, { name: '' }] }
    const bad = (name: string) =>
      `"${name}" must be lower-case alphanumeric characters and dashes, with an alphanumeric at both ends and no dots`
    expect(issuesOf(spec, 'P.x')).toEqual([
      { path: 'metadata.name', message: bad('P.x') },
      { path: 'spec.steps[0].name', message: `${bad('A_b')}: it is the name of a model` },
      { path: 'spec.steps[2].name', message: '"a" is a repeated step (spec.steps[1]): a model is one step' },
      { path: 'spec.steps[3].name', message: `${bad('P.x')}: it is the name of a model` },
      { path: 'spec.steps[3].name', message: `"P.x" is the pipeline's own name: name the step otherwise` },
      { path: 'spec.steps[4].name', message: 'is empty: give the resource a name: it is the name of a model' },
    ])
  })

  it('a pipeline without steps is refused', () => {
    expect(issuesOf({ steps: [] })).toEqual([
      { path: 'spec.steps', message: 'is empty: a pipeline has at least one step' },
    ])
  })
})

describe('references', () => {
  const refusals: [string, string][] = [
    ['', 'is empty: name a step, as in "step" or "step.outputs.tensor"'],
    ['  ', 'is empty: name a step, as in "step" or "step.outputs.tensor"'],
    ['.outputs', '".outputs" does not begin with the name of a step'],
    ['a.output', '"a.output": "output" must be inputs or outputs'],
    ['a.outputs.', '"a.outputs." ends in a dot: name a tensor after it'],
    [
      'a.outputs.x.y',
      '"a.outputs.x.y" has too many parts: at most step, inputs or outputs, and a tensor without dots in its name',
    ],
    ['missing', noStep('missing', 'missing', 'a, b')],
    ['missing.outputs.x', noStep('missing.outputs.x', 'missing', 'a, b')],
  ]
  const circle = (text: string) =>
    `"${text}" is what this pipeline answers, so it would run in a circle: name the step that gives it`

  it.each([...refusals, ['p.outputs', circle('p.outputs')], ['p.outputs.x', circle('p.outputs.x')]])(
    'the input %j and the same as a trigger are refused',
    (text, message) => {
      expect(issuesOf({ steps: [a, { name: 'b', inputs: [text] }] })).toEqual([
        { path: 'spec.steps[1].inputs[0]', message },
      ])
      expect(issuesOf({ steps: [a, { name: 'b', triggers: ['a', text] }] })).toEqual([
        { path: 'spec.steps[1].triggers[1]', message },
      ])
    },
  )

  it.each([
    ...refusals,
    ['p', '"p" is the pipeline itself: an output comes from a step; there are a, b'],
    ['p.inputs.x', '"p.inputs.x" is the pipeline itself: an output comes from a step; there are a, b'],
  ])('the output %j is refused', (text, message) => {
    expect(issuesOf({ steps: [a, b], output: { steps: ['a', text] } })).toEqual([
      { path: 'spec.output.steps[1]', message },
    ])
  })

  it('an output without steps is refused', () => {
    expect(issuesOf({ steps: [a], output: { steps: [] } })).toEqual([
      { path: 'spec.output.steps', message: 'is empty: name at least one step, or leave spec.output out' },
    ])
  })

  it.each([
    ['', 'is empty: name a pipeline, as in "other" or "other.outputs.tensor"'],
    ['.inputs', '".inputs" does not begin with the name of a pipeline'],
    ['q.s', '"q.s": "s" must be inputs or outputs'],
    ['q.inputs.t.u', '"q.inputs.t.u" has too many parts: at most pipeline, inputs or outputs, and tensor'],
    ['q.step', '"q.step" names no step after "q.step."'],
    ['q.step.s.t', '"q.step.s.t": "t" must be inputs or outputs'],
    [
      'q.step.s.outputs.t.u',
      '"q.step.s.outputs.t.u" has too many parts: at most pipeline.step.name, inputs or outputs, and tensor',
    ],
    ['p.outputs', '"p.outputs" is this pipeline itself: take from another one'],
    ['p.step.a', '"p.step.a" is this pipeline itself: take from another one'],
  ])('the external input %j and the same as a trigger are refused', (text, message) => {
    expect(issuesOf({ steps: [a], input: { externalInputs: ['q', text] } })).toEqual([
      { path: 'spec.input.externalInputs[1]', message },
    ])
    expect(issuesOf({ steps: [a], input: { externalInputs: ['r'], externalTriggers: [text] } })).toEqual([
      { path: 'spec.input.externalTriggers[0]', message },
    ])
  })

  it('an input section without external inputs is refused', () => {
    const issue = { path: 'spec.input.externalInputs', message: 'is empty: name at least one, or leave spec.input out' }
    expect(issuesOf({ steps: [a], input: {} })).toEqual([issue])
    expect(issuesOf({ steps: [a], input: { externalInputs: [], externalTriggers: ['q'] } })).toEqual([issue])
  })
})

describe('what is both data and trigger is refused', () => {
  const overlap = (text: string) =>
    `"${text}" is an input too: inputs are waited for anyway, so remove it here or there`
  it.each([
    [{ name: 'b', inputs: ['a.outputs'], triggers: ['p', 'a'] }, 1, 'a'],
    [{ name: 'b', inputs: ['a.outputs.x', 'a.outputs.y'], triggers: ['a.outputs.y'] }, 0, 'a.outputs.y'],
    [{ name: 'b', triggers: ['p.inputs'] }, 0, 'p.inputs'],
  ])('%j', (step, index, text) => {
    expect(issuesOf({ steps: [a, step] })).toEqual([
      { path: `spec.steps[1].triggers[${String(index)}]`, message: overlap(text) },
    ])
  })

  it('in the input section too', () => {
    const input = { externalInputs: ['q.outputs'], externalTriggers: ['q'] }
    expect(issuesOf({ steps: [a], input })).toEqual([{ path: 'spec.input.externalTriggers[0]', message: overlap('q') }])
  })
})

describe('keys of a tensor map are refused', () => {
  it.each([
    ['a.outputs', '"a.outputs" names no tensor: write a.outputs.<tensor>'],
    ['a', '"a" names no tensor: write a.outputs.<tensor>'],
    ['a.results.x', '"a.results.x": "results" must be inputs or outputs'],
    ['c.outputs.x', '"c.outputs.x" is not among what flows in here: a.outputs, p.inputs.y'],
    ['a.inputs.x', '"a.inputs.x" is not among what flows in here: a.outputs, p.inputs.y'],
    ['p.inputs.x', '"p.inputs.x" is not among the tensors that are taken: p.inputs.y'],
  ])('such as %j', (key, message) => {
    const step = { name: 'b', inputs: ['a', 'p.inputs.y'], tensorMap: { [key]: 'z', 'a.outputs.any': 'w' } }
    expect(issuesOf({ steps: [a, step] })).toEqual([
      { path: `spec.steps[1].tensorMap[${JSON.stringify(key)}]`, message },
    ])
  })

  it('with an empty new name, of the output and of the input section too', () => {
    const message = 'is empty: give the tensor a new name'
    const spec = {
      steps: [{ name: 'a', tensorMap: { 'p.inputs.x': '' } }],
      output: { steps: ['a'], tensorMap: { 'a.outputs.x': ' ' } },
      input: { externalInputs: ['q.step.s.outputs.x'], tensorMap: { 'q.step.s.outputs.x': '', 'q.outputs.x': 'y' } },
    }
    expect(issuesOf(spec)).toEqual([
      { path: 'spec.input.tensorMap["q.step.s.outputs.x"]', message },
      {
        path: 'spec.input.tensorMap["q.outputs.x"]',
        message: '"q.outputs.x" is not among what flows in here: q.step.s.outputs.x',
      },
      { path: 'spec.steps[0].tensorMap["p.inputs.x"]', message },
      { path: 'spec.output.tensorMap["a.outputs.x"]', message },
    ])
  })
})

describe('batches', () => {
  it.each([{ size: 0 }, {}, { windowMs: 10 }])('%j has no size', (batch) => {
    expect(issuesOf({ steps: [{ name: 'a', batch }] })).toEqual([
      { path: 'spec.steps[0].batch.size', message: 'must be at least 1: leave batch out for none' },
    ])
  })

  it('cannot stand on a join', () => {
    expect(issuesOf({ steps: [a, { name: 'b', inputs: ['a', 'p'], batch: { size: 2 } }] })).toEqual([
      { path: 'spec.steps[1].batch', message: 'cannot stand on a step that joins: give the step one input' },
    ])
  })
})

describe('cycles', () => {
  const closes = (way: string) => `closes the cycle ${way}: remove it, or set allowCycles and maxStepRevisits`
  it('over inputs and triggers are refused, each once, at the reference that closes it', () => {
    const spec = {
      steps: [
        { name: 'a', inputs: ['p', 'c.outputs.x'] },
        { name: 'b', inputs: ['a'] },
        { name: 'c', triggers: ['b.inputs'] },
        { name: 'd', inputs: ['a', 'd.outputs'] },
      ],
    }
    expect(issuesOf(spec)).toEqual([
      { path: 'spec.steps[3].inputs[1]', message: closes('d -> d') },
      { path: 'spec.steps[0].inputs[1]', message: closes('a -> b -> c -> a') },
    ])
  })

  it('that could never begin are refused although cycles are allowed', () => {
    const spec: PipelineSpec = {
      steps: [
        { name: 'a', inputs: ['p', 'b'] },
        { name: 'b', inputs: ['a'] },
        { name: 'c', triggers: ['c'] },
      ],
      allowCycles: true,
    }
    const never = (option: string) =>
      `can never all arrive, because they wait for this step itself: let ${option} be any`
    expect(issuesOf(spec)).toEqual([
      { path: 'spec.steps[0].inputs', message: never('inputsJoinType') },
      { path: 'spec.steps[1].inputs', message: never('inputsJoinType') },
      { path: 'spec.steps[2].triggers', message: never('triggersJoinType') },
    ])
  })

  it('have a bound that memory can hold', () => {
    expect(issuesOf({ steps: [a], maxStepRevisits: 10_001 })).toEqual([
      { path: 'spec.maxStepRevisits', message: 'must be at most 10000' },
    ])
  })
})

describe('pipelines that are executed over topics', () => {
  it('record every edge', () => {
    const message = (record: string) =>
      `must be all, not ${record}, with execution: topics, where every edge goes through Kafka: leave record out, or use execution: direct`
    for (const record of ['none', 'boundary'] as const)
      expect(issuesOf({ steps: [a], dataflow: { execution: 'topics', record } })).toEqual([
        { path: 'spec.dataflow.record', message: message(record) },
      ])
    expect(issuesOf({ steps: [a], dataflow: { execution: 'topics', record: 'all' } })).toEqual([])
    expect(issuesOf({ steps: [a], dataflow: { execution: 'topics' } })).toEqual([])
    expect(issuesOf({ steps: [a], dataflow: { execution: 'direct', record: 'none' } })).toEqual([])
  })
})

describe('pipelines that feed each other in a circle', () => {
  const taking = (...externalInputs: string[]): PipelineSpec => ({ steps: [a], input: { externalInputs } })
  it('are refused as far as they are known', () => {
    const known = {
      q: taking('r.step.s.outputs'),
      r: { ...taking('x'), input: { externalInputs: ['x'], externalTriggers: ['p'] } },
    }
    expect(issuesOf(taking('x', 'q.outputs'), 'p', known)).toEqual([
      {
        path: 'spec.input.externalInputs[1]',
        message: '"q.outputs" makes pipelines feed each other in a circle: p <- q <- r <- p',
      },
    ])
    expect(issuesOf(taking('x', 'q.outputs'), 'p', { q: known.q })).toEqual([])
  })

  it('and a circle of others is not this one', () => {
    expect(issuesOf(taking('q'), 'p', { q: taking('r'), r: taking('q') })).toEqual([])
  })
})

it('everything wrong is reported together', () => {
  const spec = {
    steps: [
      { name: 'p', inputs: ['missing'] },
      { name: 'b', triggers: ['gone'], batch: { size: 0 } },
    ],
    output: { steps: [] },
  }
  expect(issuesOf(spec).map(({ path }) => path)).toEqual([
    'spec.steps[0].name',
    'spec.steps[0].inputs[0]',
    'spec.steps[1].triggers[0]',
    'spec.steps[1].batch.size',
    'spec.output.steps',
  ])
})
