/** The part of a plan that takes from other pipelines: its `input` section alone, as a plan of its own. Pure. */
import type { Plan, PlanEdge } from './plan.ts'
import { type DataEnd, endKey } from './reference.ts'

/** Of `input` when it says nothing. */
const DEFAULT_WINDOW_MS = 60_000

export interface ExternalPlan {
  /** Has one node; its `inputEdge` is where what it joins goes. */
  readonly plan: Plan
  /** Those that it takes from, by their `endKey`; numbers are of `plan`. */
  readonly edges: ReadonlyMap<string, { readonly edge: number; readonly from: PlanEdge }>
  /** Records that are further apart do not belong together. */
  readonly windowMs: number
  /** Whether what is there goes on at the end of a window. */
  readonly isOuter: boolean
}

/** Undefined: the pipeline takes from no other. */
export function externalPlan(plan: Plan): ExternalPlan | undefined {
  const node = plan.nodes.findIndex(({ kind }) => kind === 'input')
  const input = plan.nodes[node]
  if (input === undefined) return undefined
  const edges = plan.edges.map((edge) => ({
    ...edge,
    producer: edge.producer === node ? 0 : undefined,
    consumers: edge.consumers
      .filter((consumer) => consumer.node === node)
      .map((consumer) => ({ ...consumer, node: 0 })),
  }))
  const { data, triggers } = input
  const windowMs = data.windowMs ?? DEFAULT_WINDOW_MS
  // Whether records of an inner join are near enough is told by their times, not by when they are read.
  const windowed = <G extends typeof data>(group: G): G => ({
    ...group,
    windowMs: group.join === 'outer' ? windowMs : undefined,
  })
  return {
    plan: {
      ...plan,
      nodes: [{ ...input, data: windowed(data), triggers: triggers && windowed(triggers) }],
      edges,
      outputNode: undefined,
      steps: [],
      loops: 0,
    },
    edges: new Map(
      [...edges.entries()].flatMap(([edge, from]) =>
        from.consumers.length > 0 ? [[endKey(from), { edge, from }]] : [],
      ),
    ),
    windowMs,
    isOuter: data.join === 'outer' || triggers?.join === 'outer',
  }
}

/** Each topic once; of a model's those of these pipelines' records, of a pipeline's own all (undefined). */
export function takenTopics({ edges }: ExternalPlan): ReadonlyMap<DataEnd, ReadonlySet<string> | undefined> {
  const byTopic = new Map<string, { readonly end: DataEnd; readonly pipelines: Set<string> }>()
  for (const { from } of edges.values()) {
    const { end } = from
    const topic = endKey({ end, pipeline: '' })
    const known = byTopic.get(topic) ?? { end, pipelines: new Set() }
    known.pipelines.add(from.pipeline)
    byTopic.set(topic, known)
  }
  return new Map(
    [...byTopic.values()].map(({ end, pipelines }) => [end, end.kind === 'pipeline' ? undefined : pipelines]),
  )
}
