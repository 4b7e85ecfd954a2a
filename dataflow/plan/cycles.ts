/** Cycles among the steps of a pipeline: refused without `allowCycles`, and with it when they could never begin. Pure. */
import type { Issue } from '../../kit/errors.ts'
import { cyclicParts, type Graph, wayBack } from './graph.ts'
import type { Reference } from './reference.ts'
import { readable, type References, type Section, sectionsOf } from './sections.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'

export function cycleIssues(pipeline: string, spec: PipelineSpec): readonly Issue[] {
  const steps = sectionsOf(pipeline, spec).filter((section) => section.kind === 'step')
  const graph = successors(steps)
  const parts = cyclicParts(graph)
  if (spec.allowCycles === true) return parts.length === 0 ? [] : stuckIssues(steps)
  return parts.map((part) => cycleIssue(steps, graph, part))
}

/** Told at the first reference that lies on the cycle. */
function cycleIssue(steps: readonly Section[], graph: Graph, part: readonly number[]): Issue {
  const first = part[0] ?? 0
  const way = wayBack(graph, first) ?? [first]
  const names = way.map((node) => steps[node]?.name ?? '')
  const before = names.at(-2)
  const section = steps[first]
  const place = [...(section?.data.list ?? []), ...(section?.triggers.list ?? [])].find(
    ({ result }) => result.kind === 'reference' && isStep(result.reference, before),
  )
  const message = `closes the cycle ${names.join(' -> ')}: remove it, or set allowCycles and maxStepRevisits`
  return { path: place?.path ?? 'spec.steps', message }
}

/** Steps that wait for each other from the start. */
function stuckIssues(steps: readonly Section[]): readonly Issue[] {
  const running = new Set<string>()
  for (let before = -1; before < running.size;) {
    before = running.size
    for (const step of steps)
      if (canBegin(step.data, running) && canBegin(step.triggers, running)) running.add(step.name)
  }
  return steps
    .filter((step) => !running.has(step.name))
    .map((step) => {
      const group = canBegin(step.data, running) ? 'triggers' : 'inputs'
      const option = group === 'inputs' ? 'inputsJoinType' : 'triggersJoinType'
      return {
        path: `${step.path}.${group}`,
        message: `can never all arrive, because they wait for this step itself: let ${option} be any`,
      }
    })
}

function canBegin(references: References, running: ReadonlySet<string>): boolean {
  const comes = references.list.map(
    ({ result }) =>
      result.kind === 'problem' || result.reference.end.kind === 'pipeline' || running.has(result.reference.end.name),
  )
  return comes.length === 0 || (references.join === 'inner' ? comes.every(Boolean) : comes.some(Boolean))
}

/** For each step, the steps that take from it. */
function successors(steps: readonly Section[]): Graph {
  const graph = steps.map(() => new Set<number>())
  const indexes = new Map(steps.map(({ name }, index) => [name, index]))
  for (const [index, step] of steps.entries())
    for (const { end } of [...readable(step.data), ...readable(step.triggers)])
      if (end.kind === 'model') graph[indexes.get(end.name) ?? -1]?.add(index)
  return graph
}

const isStep = ({ end }: Reference, name: string | undefined): boolean => end.kind === 'model' && end.name === name
