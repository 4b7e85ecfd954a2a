/** Strongly connected parts of a graph whose nodes are the numbers below `size`. Pure. */

/** Nodes from which one node leads to the other and back. */
export type Graph = readonly ReadonlySet<number>[]

/**
 * The cyclic parts, each with its nodes in ascending order: those with several nodes, and nodes that lead to themselves.
 * Without recursion, because a chain may be long.
 */
export function cyclicParts(graph: Graph, nodes: Iterable<number> = graph.keys()): readonly (readonly number[])[] {
  const within = new Set(nodes)
  const order = new Map<number, number>()
  const lowest = new Map<number, number>()
  const open: number[] = []
  const isOpen = new Set<number>()
  const parts: number[][] = []
  for (const root of within) {
    if (order.has(root)) continue
    const path = [enter(root)]
    for (let frame = path.at(-1); frame !== undefined; frame = path.at(-1)) {
      const { node, rest } = frame
      const next = rest.next()
      if (next.done !== true) {
        if (!within.has(next.value)) continue
        if (!order.has(next.value)) path.push(enter(next.value))
        else if (isOpen.has(next.value)) lower(node, order.get(next.value))
        continue
      }
      path.pop()
      const above = path.at(-1)
      if (above !== undefined) lower(above.node, lowest.get(node))
      if (lowest.get(node) === order.get(node)) close(node)
    }
  }
  return parts

  function enter(node: number) {
    order.set(node, order.size)
    lowest.set(node, order.size - 1)
    open.push(node)
    isOpen.add(node)
    return { node, rest: (graph[node] ?? new Set<number>()).values() }
  }
  function lower(node: number, value = Infinity): void {
    lowest.set(node, Math.min(lowest.get(node) ?? Infinity, value))
  }
  function close(root: number): void {
    const part = open.splice(open.indexOf(root))
    for (const node of part) isOpen.delete(node)
    if (part.length > 1 || graph[root]?.has(root) === true) parts.push(part.toSorted((a, b) => a - b))
  }
}

/** Everything that `from` leads to, itself only if a way leads back. */
export function reachable(graph: Graph, from: Iterable<number>): ReadonlySet<number> {
  const found = new Set<number>()
  const next = [...from]
  for (let node = next.pop(); node !== undefined; node = next.pop()) {
    for (const successor of graph[node] ?? []) {
      if (found.has(successor)) continue
      found.add(successor)
      next.push(successor)
    }
  }
  return found
}

/** A shortest way from a node back to itself, both ends included; undefined when there is none. */
export function wayBack(graph: Graph, node: number): readonly number[] | undefined {
  const before = new Map<number, number>()
  const next = [node]
  for (let at = next.shift(); at !== undefined; at = next.shift()) {
    for (const successor of graph[at] ?? []) {
      if (successor === node) return [...wayTo(before, node, at), node]
      if (before.has(successor)) continue
      before.set(successor, at)
      next.push(successor)
    }
  }
  return undefined
}

function wayTo(before: ReadonlyMap<number, number>, start: number, end: number): readonly number[] {
  const way = [end]
  for (let at = end; at !== start;) {
    at = before.get(at) ?? start
    way.unshift(at)
  }
  return way
}
