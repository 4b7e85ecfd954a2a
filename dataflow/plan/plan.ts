/**
 * The plan of one version of a pipeline: everything that can be known before a request comes, so that advancing a request
 * touches only the edges that its data flows over. Immutable; made by `compile`, read by the executor and its runners.
 *
 * An *edge* is one end of a model or a pipeline (`iris.outputs`), where data appears; in Kafka it is a topic. A *node* takes
 * from edges and puts on an edge: the pipeline's `input` section (from other pipelines), its steps, and its `output`.
 */
import type { DataEnd } from './reference.ts'
import type { Join } from './sections.ts'

export interface Plan {
  readonly pipeline: string
  readonly version: number
  /** How long a request may take, unless it says less itself. */
  readonly timeoutMs: number
  /** `direct`: whoever has the request calls the models; `topics`: every edge goes through Kafka. */
  readonly execution: 'direct' | 'topics'
  readonly nodes: readonly PlanNode[]
  readonly edges: readonly PlanEdge[]
  /** Of `edges`: the pipeline's own inputs, where a synchronous call puts its request. */
  readonly inputEdge: number
  /** Of `nodes`; undefined: nothing answers, so it can be fed but not called. */
  readonly outputNode: number | undefined
  /** The steps' names, in the spec's order: the models that must be ready. */
  readonly steps: readonly string[]
  /** How many loops there are; a visit has one count for each. 0: every step runs at most once. */
  readonly loops: number
  /** A step runs at most once more than this in one request. */
  readonly maxStepRevisits: number
}

export interface PlanEdge {
  readonly end: DataEnd
  /** Whose records count on the topic; another pipeline's for external inputs. */
  readonly pipeline: string
  /** `iris.outputs`, for people. */
  readonly name: string
  /** The node that puts data on it; undefined: somebody outside, and for the pipeline's inputs the caller too. */
  readonly producer: number | undefined
  /** Who takes from it. */
  readonly consumers: readonly Consumer[]
}

export interface Consumer {
  readonly node: number
  readonly group: 'data' | 'triggers'
  /** Of the group's sources. */
  readonly source: number
}

export interface PlanNode {
  readonly kind: 'input' | 'step' | 'output'
  /** The step's (so the model's), or the pipeline's. */
  readonly name: string
  readonly data: Group
  /** Must come too before the node runs; carries no data. Undefined: nothing to wait for. */
  readonly triggers: Group | undefined
  /** The edge that the joined data goes to: a step's inputs, the pipeline's outputs, its inputs. */
  readonly into: number
  /** Of a step: the edge of its model's answer. */
  readonly answers: number | undefined
  /** A step that no output depends on: it may finish after the answer, and its failure fails no request. */
  readonly isSide: boolean
  /** It is a side branch, or leads to one: it is also run when the request has been answered or has failed. */
  readonly feedsSide: boolean
  /** Its data needs no second trigger, nor its trigger a second time the data. */
  readonly isSpent: boolean
  /** Calls of several requests may go to the model as one: up to so many rows, for so long (`rolling`: since the last one came). */
  readonly batch:
    { readonly size: number; readonly windowMs: number | undefined; readonly rolling: boolean } | undefined
}

export interface Group {
  readonly join: Join
  /** Of the spec; undefined: it gave none. */
  readonly windowMs: number | undefined
  /** In the order of first mention. */
  readonly sources: readonly Source[]
}

export interface Source {
  readonly edge: number
  /** Undefined: all. Of several named, those that are there; none: nothing flows. */
  readonly tensors: ReadonlySet<string> | undefined
  /** New names of tensors. */
  readonly renames: ReadonlyMap<string, string>
  /** For people: the edge, with the tensor when it is one. */
  readonly name: string
  /** What arrives begins another turn of this loop (its counts of the loops within it begin anew). */
  readonly turns: { readonly loop: number; readonly inner: readonly number[] } | undefined
  /** What arrives from outside of these loops belongs to their first turn. */
  readonly enters: readonly number[]
  /** What has been joined is not needed for another join: the others come once in the same turns only. */
  readonly isSpent: boolean
}
