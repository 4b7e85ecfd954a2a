/** Whether a pipeline can be: everything wrong with its spec beyond the types of its fields, reported together. Pure. */
import type { Issue } from '../../kit/errors.ts'
import { nameProblem } from '../../api/resources/rules.ts'
import { cycleIssues } from './cycles.ts'
import { endKey, type Reference, sameReference, showEnd, showReference } from './reference.ts'
import { distinctEnds, readable, type References, type Section, sectionsOf } from './sections.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'

/** Bounds what one request may remember. */
export const MAX_STEP_REVISITS = 10_000

/** Other pipelines, as far as the caller knows them. */
export type KnownPipelines = (name: string) => PipelineSpec | undefined

/** All issues; none: `compile` will succeed. `known` finds circular references between pipelines. */
export function validatePipeline(
  name: string,
  spec: PipelineSpec,
  known: KnownPipelines = () => undefined,
): readonly Issue[] {
  const sections = sectionsOf(name, spec)
  const steps = new Set(spec.steps.map((step) => step.name))
  return [
    ...nameIssues(name, spec),
    ...sections.flatMap((section) => sectionIssues(name, section, steps)),
    ...circularIssues(name, sections, known),
    ...cycleIssues(name, spec),
    ...limitIssues(spec),
    ...executionIssues(spec),
  ]
}

function nameIssues(pipeline: string, spec: PipelineSpec): readonly Issue[] {
  const own = nameProblem(pipeline)
  const issues: Issue[] = own === undefined ? [] : [{ path: 'metadata.name', message: own }]
  if (spec.steps.length === 0)
    issues.push({ path: 'spec.steps', message: 'is empty: a pipeline has at least one step' })
  const firsts = new Map(spec.steps.map(({ name }, index) => [name, index] as const).toReversed())
  for (const [index, { name }] of spec.steps.entries()) {
    const path = `spec.steps[${String(index)}].name`
    const problem = nameProblem(name)
    const first = firsts.get(name) ?? index
    if (problem !== undefined) issues.push({ path, message: `${problem}: it is the name of a model` })
    if (first < index)
      issues.push({ path, message: `"${name}" is a repeated step (spec.steps[${String(first)}]): a model is one step` })
    if (name === pipeline)
      issues.push({ path, message: `"${name}" is the pipeline's own name: name the step otherwise` })
  }
  return issues
}

function sectionIssues(pipeline: string, section: Section, steps: ReadonlySet<string>): readonly Issue[] {
  const issues: Issue[] = []
  for (const references of [section.data, section.triggers]) {
    for (const { path, text, result } of references.list) {
      const message =
        result.kind === 'problem' ? result.message : targetProblem(pipeline, section, result.reference, text, steps)
      if (message !== undefined) issues.push({ path, message })
    }
  }
  if (section.kind === 'input' && section.data.list.length === 0)
    issues.push({ path: 'spec.input.externalInputs', message: 'is empty: name at least one, or leave spec.input out' })
  if (section.kind === 'output' && section.data.list.length === 0)
    issues.push({ path: 'spec.output.steps', message: 'is empty: name at least one step, or leave spec.output out' })
  return [...issues, ...overlapIssues(section), ...tensorMapIssues(pipeline, section), ...batchIssues(section)]
}

/** What is wrong with the place that a reference names. */
function targetProblem(
  pipeline: string,
  section: Section,
  { end, pipeline: owner }: Reference,
  text: string,
  steps: ReadonlySet<string>,
): string | undefined {
  if (section.kind === 'input')
    return owner === pipeline ? `"${text}" is this pipeline itself: take from another one` : undefined
  if (end.kind === 'model')
    return steps.has(end.name)
      ? undefined
      : `"${text}": no step of this pipeline is called "${end.name}"${listed(steps)}`
  if (section.kind === 'output') return `"${text}" is the pipeline itself: an output comes from a step${listed(steps)}`
  if (end.side === 'outputs')
    return `"${text}" is what this pipeline answers, so it would run in a circle: name the step that gives it`
  return undefined
}

const listed = (steps: ReadonlySet<string>) => (steps.size === 0 ? '' : `; there are ${[...steps].join(', ')}`)

/** The same reference as data and as trigger says nothing: data is waited for anyway. */
function overlapIssues({ data, triggers }: Section): readonly Issue[] {
  const inputs = readable(data)
  return triggers.list.flatMap(({ path, text, result }) =>
    result.kind === 'reference' && inputs.some((input) => sameReference(input, result.reference))
      ? [{ path, message: `"${text}" is an input too: inputs are waited for anyway, so remove it here or there` }]
      : [],
  )
}

function tensorMapIssues(pipeline: string, section: Section): readonly Issue[] {
  const inputs = readable(section.data)
  return Object.entries(section.tensorMap).flatMap(([key, name]) => {
    const path = `${section.path}.tensorMap[${JSON.stringify(key)}]`
    const message =
      name.trim() === '' ? 'is empty: give the tensor a new name' : keyProblem(pipeline, section, key, inputs)
    return message === undefined ? [] : [{ path, message }]
  })
}

function keyProblem(pipeline: string, section: Section, key: string, inputs: readonly Reference[]): string | undefined {
  const result = section.parse(key)
  if (result.kind === 'problem') return result.message
  const { reference } = result
  if (reference.tensor === undefined) return `"${key}" names no tensor: write ${showEnd(reference, pipeline)}.<tensor>`
  const same = inputs.filter((input) => endKey(input) === endKey(reference))
  const show = (input: Reference) => showReference(input, pipeline)
  if (same.length === 0) return `"${key}" is not among what flows in here: ${inputs.map(show).join(', ')}`
  const named = same.filter((input) => input.tensor !== undefined)
  return named.length === 0 || named.some((input) => sameReference(input, reference))
    ? undefined
    : `"${key}" is not among the tensors that are taken: ${named.map(show).join(', ')}`
}

function batchIssues({ batch, path, data }: Section): readonly Issue[] {
  if (batch === undefined) return []
  const issues: Issue[] = []
  if ((batch.size ?? 0) < 1)
    issues.push({ path: `${path}.batch.size`, message: 'must be at least 1: leave batch out for none' })
  if (distinctEnds(readable(data)).length > 1)
    issues.push({ path: `${path}.batch`, message: 'cannot stand on a step that joins: give the step one input' })
  return issues
}

/** Pipelines that feed each other in a circle would never come to rest. */
function circularIssues(name: string, sections: readonly Section[], known: KnownPipelines): readonly Issue[] {
  const input = sections.find((section) => section.kind === 'input')
  if (input === undefined) return []
  return [...input.data.list, ...input.triggers.list].flatMap(({ path, text, result }) => {
    if (result.kind === 'problem' || result.reference.pipeline === name) return [] // itself: said elsewhere
    const way = wayTo(result.reference.pipeline, name, known)
    return way === undefined
      ? []
      : [{ path, message: `"${text}" makes pipelines feed each other in a circle: ${[name, ...way].join(' <- ')}` }]
  })
}

/** From pipeline to pipeline along what each takes from others, until `goal`. */
function wayTo(from: string, goal: string, known: KnownPipelines): readonly string[] | undefined {
  const ways = new Map<string, readonly string[]>([[from, [from]]])
  for (const [name, way] of ways) {
    if (name === goal) return way
    const spec = known(name)
    for (const source of spec === undefined ? [] : sourcesOf(name, spec))
      if (!ways.has(source)) ways.set(source, [...way, source])
  }
  return undefined
}

/** The pipelines that a pipeline takes from. */
function sourcesOf(name: string, spec: PipelineSpec): readonly string[] {
  const names = (references: References) => readable(references).map((reference) => reference.pipeline)
  return sectionsOf(name, spec)
    .filter((section) => section.kind === 'input')
    .flatMap((section) => [...names(section.data), ...names(section.triggers)])
}

function limitIssues({ maxStepRevisits = 0 }: PipelineSpec): readonly Issue[] {
  return maxStepRevisits <= MAX_STEP_REVISITS
    ? []
    : [{ path: 'spec.maxStepRevisits', message: `must be at most ${String(MAX_STEP_REVISITS)}` }]
}

/** Over topics the records are what runs a request. */
function executionIssues({ dataflow: { execution, record = 'all' } = {} }: PipelineSpec): readonly Issue[] {
  if (execution !== 'topics' || record === 'all') return []
  const message = `must be all, not ${record}, with execution: topics, where every edge goes through Kafka: leave record out, or use execution: direct`
  return [{ path: 'spec.dataflow.record', message }]
}
