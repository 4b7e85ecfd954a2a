/**
 * The loops of a plan and how what flows is numbered in them. Pure.
 *
 * A loop is a cyclic part of the graph with a *head*; what flows back to the head begins the next turn. A part that is still
 * cyclic without its head holds inner loops, which begin anew with each turn of the outer one.
 */
import { cyclicParts, type Graph } from './graph.ts'
import type { Wire, Wiring } from './wiring.ts'

export interface Loop {
  readonly head: number
  readonly nodes: ReadonlySet<number>
  /** The loops inside it, at any depth. */
  readonly inner: readonly number[]
}

/** Of one group of a node: what each source does to the counts of what arrives, and the loops it may have passed. */
export interface Numbering {
  readonly turns: number | undefined
  readonly enters: readonly number[]
  readonly loops: ReadonlySet<number>
}

/** Of every node, for its data and for its triggers, one for each source. */
export type Numberings = readonly { readonly data: readonly Numbering[]; readonly triggers: readonly Numbering[] }[]

export function findLoops({ wires, producers, graph }: Wiring): readonly Loop[] {
  const loops: { head: number; nodes: ReadonlySet<number>; inner: number[] }[] = []
  findIn(graph, undefined, [])
  return loops

  function findIn(within: Graph, nodes: ReadonlySet<number> | undefined, outer: readonly number[]): void {
    for (const part of cyclicParts(within, nodes)) {
      const members = new Set(part)
      const head = part.find((node) => beginsOutside(wires[node], producers, members)) ?? part[0] ?? 0
      const index = loops.push({ head, nodes: members, inner: [] }) - 1
      for (const loop of outer) loops[loop]?.inner.push(index)
      const withoutHead = within.map((successors) => new Set([...successors].filter((node) => node !== head)))
      findIn(withoutHead, members, [...outer, index])
    }
  }
}

/** Whether a node can run with nothing from the part that it is in. */
function beginsOutside(
  node: Wire | undefined,
  producers: ReadonlyMap<number, number>,
  part: ReadonlySet<number>,
): boolean {
  return (['data', 'triggers'] as const).every((group) => {
    const outside = (node?.[group] ?? []).map(({ edge }) => !part.has(producers.get(edge) ?? -1))
    return (
      outside.length === 0 || (node?.section[group].join === 'inner' ? outside.every(Boolean) : outside.some(Boolean))
    )
  })
}

export function numberSources(wiring: Wiring, loops: readonly Loop[]): Numberings {
  const { wires, producers } = wiring
  let carried: readonly ReadonlySet<number>[] = wires.map(() => new Set())
  const toGroup = (node: number, group: 'data' | 'triggers'): readonly Numbering[] => {
    const from = (wires[node]?.[group] ?? []).map(({ edge }) => producers.get(edge) ?? -1)
    return from.map((own) => {
      const turns = loops.findIndex((loop) => loop.head === node && loop.nodes.has(own))
      const enters = wires[node]?.section[group].join === 'inner' ? [] : entered(loops, node, own, from)
      const passed = new Set([...(carried[own] ?? []), ...enters, ...(turns < 0 ? [] : [turns])])
      return { turns: turns < 0 ? undefined : turns, enters, loops: passed }
    })
  }
  for (;;) {
    const numberings = wires.map((_, node) => ({ data: toGroup(node, 'data'), triggers: toGroup(node, 'triggers') }))
    const next = numberings.map(({ data, triggers }) => new Set([...passedBy(data), ...passedBy(triggers)]))
    if (next.every((set, node) => set.size === carried[node]?.size)) return numberings
    carried = next
  }
}

/** Loops of the node that other sources of the group are in, but not this one. */
const entered = (loops: readonly Loop[], node: number, own: number, from: readonly number[]): readonly number[] =>
  loops.flatMap(({ nodes }, loop) =>
    nodes.has(node) && !nodes.has(own) && from.some((other) => nodes.has(other)) ? [loop] : [],
  )

export const passedBy = (group: readonly Numbering[]): ReadonlySet<number> =>
  new Set(group.flatMap(({ loops }) => [...loops]))

export const sameLoops = (a: ReadonlySet<number>, b: ReadonlySet<number>): boolean =>
  a.size === b.size && [...a].every((loop) => b.has(loop))
