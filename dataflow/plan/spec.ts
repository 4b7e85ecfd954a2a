/** What a plan is made of: the spec of a Pipeline manifest, as far as the flow of data depends on it. */

export const JOINS = ['inner', 'outer', 'any'] as const
/** inner: all of them; outer: what is there when the window ends; any: the first. */
export type Join = (typeof JOINS)[number]
type TensorMap = Readonly<Record<string, string>>

export interface BatchSpec {
  readonly size?: number
  readonly windowMs?: number
  readonly rolling?: boolean
}

export interface StepSpec {
  readonly name: string
  readonly inputs?: readonly string[]
  readonly joinWindowMs?: number
  readonly tensorMap?: TensorMap
  readonly triggers?: readonly string[]
  readonly inputsJoinType?: Join
  readonly triggersJoinType?: Join
  readonly batch?: BatchSpec
}

export interface InputSpec {
  readonly externalInputs?: readonly string[]
  readonly externalTriggers?: readonly string[]
  readonly joinWindowMs?: number
  readonly joinType?: Join
  readonly triggersJoinType?: Join
  readonly tensorMap?: TensorMap
}

export interface OutputSpec {
  readonly steps: readonly string[]
  readonly joinWindowMs?: number
  readonly stepsJoin?: Join
  readonly tensorMap?: TensorMap
}

export interface PipelineSpec {
  readonly steps: readonly StepSpec[]
  readonly input?: InputSpec
  readonly output?: OutputSpec
  readonly allowCycles?: boolean
  readonly maxStepRevisits?: number
  readonly timeoutMs?: number
}
