import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { topicName } from '../../../dataflow/journal/topics.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import type { Plan } from '../../../dataflow/plan/plan.ts'
import { ServingError } from '../../../kit/errors.ts'

const nodeOf = (plan: Plan, name: string, kind = 'step') =>
  plan.nodes.find((node) => node.name === name && node.kind === kind)
const sourcesOf = (plan: Plan, name: string, kind = 'step') =>
  nodeOf(plan, name, kind)?.data.sources.map(({ edge, tensors, renames }) => [
    plan.edges[edge]?.name,
    tensors && [...tensors],
    Object.fromEntries(renames),
  ])

describe('sources', () => {
  const plan = compile('test', 3, {
    steps: [
      { name: 'model1' },
      {
        name: 'model2',
        inputs: ['test.inputs.b', 'model1.outputs.t1', 'model1', 'test.inputs.a', 'model1.outputs.t2'],
        tensorMap: { 'model1.outputs.t1': 'x', 'test.inputs.a': 'y' },
        triggers: ['model1.outputs.go', 'model1.outputs.also', 'model1.outputs.go'],
      },
    ],
    output: { steps: ['model2.outputs', 'model1.inputs'] },
  })

  it('2: are named as topics are', () => {
    const names = plan.edges.map(({ end }) => topicName({ prefix: 'foo.bar', namespace: 'default' }, end))
    expect(names).toEqual([
      'foo.bar.default.pipeline.test.inputs',
      'foo.bar.default.model.model1.inputs',
      'foo.bar.default.model.model1.outputs',
      'foo.bar.default.model.model2.inputs',
      'foo.bar.default.model.model2.outputs',
      'foo.bar.default.pipeline.test.outputs',
    ])
  })

  it('are one for each edge, in the order of first mention, with what is taken and its new names', () => {
    expect(sourcesOf(plan, 'model2')).toEqual([
      ['test.inputs', ['b', 'a'], { a: 'y' }],
      ['model1.outputs', ['t1', 't2'], { t1: 'x' }],
    ])
    expect(sourcesOf(plan, 'model1')).toEqual([['test.inputs', undefined, {}]])
    expect(sourcesOf(plan, 'test', 'output')).toEqual([
      ['model2.outputs', undefined, {}],
      ['model1.inputs', undefined, {}],
    ])
  })

  it('of triggers are one for each tensor', () => {
    expect(nodeOf(plan, 'model2')?.triggers?.sources.map(({ name }) => name)).toEqual([
      'model1.outputs.go',
      'model1.outputs.also',
    ])
  })

  it('of other pipelines are edges whose records are theirs', () => {
    const other = compile('p', 1, {
      steps: [{ name: 'a' }],
      input: { externalInputs: ['q', 'q.step.s.inputs.t'], externalTriggers: ['r.inputs'] },
    })
    expect(other.edges.map(({ name, pipeline, end }) => [name, pipeline, end.kind])).toEqual([
      ['p.inputs', 'p', 'pipeline'],
      ['q.outputs', 'q', 'pipeline'],
      ['q.step.s.inputs', 'q', 'model'],
      ['r.inputs', 'r', 'pipeline'],
      ['a.inputs', 'p', 'model'],
      ['a.outputs', 'p', 'model'],
    ])
    expect([other.outputNode, other.inputEdge]).toEqual([undefined, 0])
  })

  it('lead back to their consumers', () => {
    for (const [edge, { consumers }] of plan.edges.entries())
      for (const { node, group, source } of consumers)
        expect(plan.nodes[node]?.[group]?.sources[source]?.edge).toBe(edge)
    expect(plan.edges.flatMap(({ consumers }) => consumers)).toHaveLength(7)
  })

  it("the version, the steps and the deadline are the spec's", () => {
    expect([plan.version, plan.steps, plan.timeoutMs, plan.loops]).toEqual([3, ['model1', 'model2'], 60_000, 0])
    expect(compile('p', 1, { steps: [{ name: 'a' }], timeoutMs: 5 }).timeoutMs).toBe(5)
  })
})

it('side branches are the steps that no output depends on, over triggers and inputs too', () => {
  const spec: PipelineSpec = {
    steps: [
      { name: 'a' },
      { name: 'b', inputs: ['a.inputs'], triggers: ['c'] },
      { name: 'c' },
      { name: 'd', inputs: ['c'] },
      { name: 'e', inputs: ['d.inputs'] },
      { name: 'f' },
    ],
    output: { steps: ['b.inputs'] },
  }
  const steps = compile('p', 1, spec).nodes.filter(({ kind }) => kind === 'step')
  expect(steps.filter(({ isSide }) => isSide).map(({ name }) => name)).toEqual(['d', 'e', 'f'])
  expect(steps.filter(({ feedsSide }) => feedsSide).map(({ name }) => name)).toEqual(['c', 'd', 'e', 'f'])
})

it('what cannot be is refused with every issue', () => {
  const refused = () => compile('p', 1, { steps: [{ name: 'a', inputs: ['b'] }], output: { steps: [] } })
  expect(refused).toThrow(ServingError)
  expect(refused).toThrow('Pipeline p has 2 problem(s): spec.steps[0].inputs[0]: "b": no step')
})

it('a long chain and a wide join compile', () => {
  const chain = Array.from({ length: 3000 }, (_, index) => ({
    name: `s${String(index)}`,
    ...(index === 0 ? {} : { inputs: [`s${String(index - 1)}`] }),
  }))
  expect(compile('p', 1, { steps: chain, output: { steps: ['s2999'] } }).nodes).toHaveLength(3001)
  const wide = chain.slice(0, 300).map(({ name }) => ({ name }))
  const joined = compile('p', 1, { steps: wide, output: { steps: wide.map(({ name }) => name) } })
  expect(joined.nodes.at(-1)?.data.sources).toHaveLength(300)
})
