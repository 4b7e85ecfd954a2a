/** Sections with their references resolved to numbered edges: who takes what from whom. Pure. */
import type { Graph } from './graph.ts'
import { endKey, type Reference, showEnd, showReference } from './reference.ts'
import { readable, type Section } from './sections.ts'

type Place = Pick<Reference, 'end' | 'pipeline'>

export interface Wiring {
  readonly places: readonly Place[]
  readonly wires: readonly Wire[]
  /** The node that puts data on an edge; none: somebody outside does. */
  readonly producers: ReadonlyMap<number, number>
  readonly graph: Graph
}

/** A node as far as its edges go. */
export interface Wire {
  readonly section: Section
  readonly data: readonly Taking[]
  readonly triggers: readonly Taking[]
  readonly into: number
  readonly answers: number | undefined
}

export interface Taking {
  readonly edge: number
  readonly name: string
  readonly tensors: ReadonlySet<string> | undefined
  readonly renames: ReadonlyMap<string, string>
}

/** Edge 0 is the pipeline's inputs. */
export function wire(own: string, sections: readonly Section[]): Wiring {
  const places: Place[] = []
  const numbers = new Map<string, number>()
  const edgeOf = ({ end, pipeline }: Place): number => {
    const key = endKey({ end, pipeline })
    const known = numbers.get(key)
    if (known !== undefined) return known
    numbers.set(key, places.length)
    return places.push({ end, pipeline }) - 1
  }
  const ownEdge = (kind: 'model' | 'pipeline', name: string, side: 'inputs' | 'outputs') =>
    edgeOf({ end: { kind, name, side }, pipeline: own })
  ownEdge('pipeline', own, 'inputs')
  const wires = sections.map((section): Wire => {
    const { kind, name } = section
    const into = kind === 'step' ? ownEdge('model', name, 'inputs') : ownEdge('pipeline', own, SIDES[kind])
    const answers = kind === 'step' ? ownEdge('model', name, 'outputs') : undefined
    return {
      section,
      into,
      answers,
      data: takeData(own, section, edgeOf),
      triggers: takeTriggers(own, section, edgeOf),
    }
  })
  const producers = new Map<number, number>()
  for (const [node, { into, answers }] of wires.entries()) {
    producers.set(into, node)
    if (answers !== undefined) producers.set(answers, node)
  }
  return { places, wires, producers, graph: toGraph(wires, producers) }
}

const SIDES = { input: 'inputs', output: 'outputs' } as const

/** One source for each edge, in the order of first mention; naming tensors overrides naming the whole edge. */
function takeData(own: string, section: Section, edgeOf: (place: Place) => number): readonly Taking[] {
  const byEdge = new Map<number, [Reference, ...Reference[]]>()
  for (const reference of readable(section.data)) {
    const edge = edgeOf(reference)
    byEdge.set(edge, [...(byEdge.get(edge) ?? []), reference] as [Reference, ...Reference[]])
  }
  return [...byEdge].map(([edge, references]) => {
    const named = references.flatMap(({ tensor }) => (tensor === undefined ? [] : [tensor]))
    const end = showEnd(references[0], own)
    return {
      edge,
      name: named.length === 1 ? `${end}.${named.join()}` : end,
      tensors: named.length === 0 ? undefined : new Set(named),
      renames: renamesOf(section, references[0]),
    }
  })
}

function renamesOf(section: Section, place: Place): ReadonlyMap<string, string> {
  const renames = Object.entries(section.tensorMap).flatMap(([key, to]): [string, string][] => {
    const result = section.parse(key)
    if (result.kind === 'problem' || endKey(result.reference) !== endKey(place)) return []
    return result.reference.tensor === undefined ? [] : [[result.reference.tensor, to]]
  })
  return new Map(renames)
}

/** Each trigger is a guard of its own, so that `inner` means all that were named. */
function takeTriggers(own: string, section: Section, edgeOf: (place: Place) => number): readonly Taking[] {
  const different = new Map(readable(section.triggers).map((reference) => [showReference(reference, own), reference]))
  return [...different].map(([name, reference]) => ({
    edge: edgeOf(reference),
    name,
    tensors: reference.tensor === undefined ? undefined : new Set([reference.tensor]),
    renames: new Map(),
  }))
}

function toGraph(wires: readonly Wire[], producers: ReadonlyMap<number, number>): Graph {
  const graph = wires.map(() => new Set<number>())
  for (const [node, { data, triggers }] of wires.entries())
    for (const { edge } of [...data, ...triggers]) graph[producers.get(edge) ?? -1]?.add(node)
  return graph
}
