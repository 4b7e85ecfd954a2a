/** A spec as a plan. Pure; the executor never sees a reference. */
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { issuesError } from '../../kit/errors.ts'
import { type Graph, reachable } from './graph.ts'
import { findLoops, type Loop, type Numbering, numberSources, passedBy, sameLoops } from './loops.ts'
import type { Consumer, Group, Plan, PlanEdge, PlanNode } from './plan.ts'
import { showEnd } from './reference.ts'
import { sectionsOf } from './sections.ts'
import { validatePipeline } from './validate.ts'
import { type Wire, wire, type Wiring } from './wiring.ts'

/** Of a request when the spec says nothing. */
const DEFAULT_TIMEOUT_MS = 60_000

/** @throws ServingError PIPELINE_SPEC_INVALID with every issue that `validatePipeline` finds */
export function compile(name: string, version: number, spec: PipelineSpec): Plan {
  const issues = validatePipeline(name, spec)
  if (issues.length > 0) throw issuesError('PIPELINE_SPEC_INVALID', `Pipeline ${name}`, issues)
  const wiring = wire(name, sectionsOf(name, spec))
  const loops = findLoops(wiring)
  const nodes = toNodes(wiring, loops)
  const output = nodes.findIndex(({ kind }) => kind === 'output')
  return {
    pipeline: name,
    version,
    timeoutMs: spec.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    execution: spec.dataflow?.execution ?? 'direct',
    nodes,
    edges: toEdges(name, wiring, nodes),
    inputEdge: 0,
    outputNode: output < 0 ? undefined : output,
    steps: spec.steps.map((step) => step.name),
    loops: loops.length,
    maxStepRevisits: spec.maxStepRevisits ?? 0,
  }
}

function toNodes(wiring: Wiring, loops: readonly Loop[]): readonly PlanNode[] {
  const { wires, graph } = wiring
  const numberings = numberSources(wiring, loops)
  const outputs = [...wires.keys()].filter((node) => wires[node]?.section.kind === 'output')
  const backward = reversed(graph)
  const needed = reachable(backward, outputs)
  const side = wires.map(({ section }, node) => section.kind === 'step' && !needed.has(node))
  const leadsToSide = reachable(
    backward,
    [...side.keys()].filter((node) => side[node]),
  )
  return wires.map((node, index) => {
    const { section, into, answers } = node
    const { data = [], triggers = [] } = numberings[index] ?? {}
    const { batch } = section
    return {
      kind: section.kind,
      name: section.name,
      data: toGroup(node, 'data', data, loops),
      triggers: triggers.length === 0 ? undefined : toGroup(node, 'triggers', triggers, loops),
      into,
      answers,
      isSide: side[index] ?? false,
      feedsSide: (side[index] ?? false) || leadsToSide.has(index),
      isSpent: sameLoops(passedBy(data), passedBy(triggers)),
      batch:
        batch === undefined
          ? undefined
          : { size: batch.size ?? 1, windowMs: batch.windowMs, rolling: batch.rolling ?? false },
    }
  })
}

function toGroup(
  { section, ...node }: Wire,
  group: 'data' | 'triggers',
  numberings: readonly Numbering[],
  loops: readonly Loop[],
): Group {
  const all = passedBy(numberings)
  return {
    join: section[group].join,
    windowMs: section.windowMs,
    sources: node[group].map((taking, index) => {
      const { turns, enters = [], loops: own = all } = numberings[index] ?? {}
      return {
        ...taking,
        turns: turns === undefined ? undefined : { loop: turns, inner: loops[turns]?.inner ?? [] },
        enters,
        isSpent: sameLoops(own, all),
      }
    }),
  }
}

function toEdges(own: string, { places, producers }: Wiring, nodes: readonly PlanNode[]): readonly PlanEdge[] {
  const consumers: Consumer[][] = places.map(() => [])
  for (const [node, { data, triggers }] of nodes.entries()) {
    for (const [source, { edge }] of data.sources.entries()) consumers[edge]?.push({ node, group: 'data', source })
    for (const [source, { edge }] of (triggers?.sources ?? []).entries())
      consumers[edge]?.push({ node, group: 'triggers', source })
  }
  return places.map((place, edge) => ({
    ...place,
    name: showEnd(place, own),
    producer: producers.get(edge),
    consumers: consumers[edge] ?? [],
  }))
}

function reversed(graph: Graph): Graph {
  const backward = graph.map(() => new Set<number>())
  for (const [from, successors] of graph.entries()) for (const to of successors) backward[to]?.add(from)
  return backward
}
