/**
 * What values of a resource must be beyond their types: names, and fields that constrain each other. Pure. The client
 * checks them with the structure, so that a manifest gets every problem at once; the scheduler's domain checks them again,
 * because its compatible API has no manifests.
 */

export const MAX_NAME_LENGTH = 63
/** No upper bound. */
export const UNLIMITED_REPLICAS = 0xffff_ffff

/** What is wrong with a name of a model or server; undefined when it is good. No underscore: it separates the version. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'is empty: give the resource a name'
  if (name.length > MAX_NAME_LENGTH)
    return `"${name.slice(0, 20)}..." has ${String(name.length)} characters: use at most ${String(MAX_NAME_LENGTH)}`
  if (/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return undefined
  return `"${name}" must be lower-case alphanumeric characters and dashes, with an alphanumeric at both ends and no dots`
}

/** A scaling triple as users write it; an absent or zero upper bound is no bound. */
export interface ScalingDraft {
  readonly replicas?: number
  readonly minReplicas?: number
  readonly maxReplicas?: number
}

/** A problem of a mapping as a whole, told at one of its fields. */
export interface RuleProblem {
  readonly field: string
  readonly message: string
}

/** Replicas not given: the minimum, or 1. */
export function toScaling(draft: ScalingDraft): Required<ScalingDraft> {
  const minReplicas = draft.minReplicas ?? 0
  const maxReplicas =
    draft.maxReplicas === undefined || draft.maxReplicas === 0 ? UNLIMITED_REPLICAS : draft.maxReplicas
  return { replicas: draft.replicas ?? Math.max(minReplicas, 1), minReplicas, maxReplicas }
}

/** min <= replicas <= max, of three whole numbers. */
export function scalingProblems(draft: ScalingDraft): readonly RuleProblem[] {
  const { replicas, minReplicas, maxReplicas } = toScaling(draft)
  const [is, min, max] = [String(replicas), String(minReplicas), String(maxReplicas)]
  return [
    ...problemIf(minReplicas > maxReplicas, 'minReplicas', `${min} is more than maxReplicas ${max}`),
    ...problemIf(replicas < minReplicas, 'replicas', `${is} is less than minReplicas ${min}`),
    ...problemIf(replicas > maxReplicas, 'replicas', `${is} is more than maxReplicas ${max}`),
  ]
}

/** A model explains, or is a language model's runtime, or neither. */
export const kindProblems = (spec: { readonly explainer?: unknown; readonly llm?: unknown }): readonly RuleProblem[] =>
  problemIf(
    spec.explainer !== undefined && spec.llm !== undefined,
    'llm',
    'cannot stand beside spec.explainer: a model is one or the other',
  )

export const referenceProblem = (refs: { readonly modelRef?: unknown; readonly pipelineRef?: unknown }) =>
  refs.modelRef !== undefined && refs.pipelineRef !== undefined
    ? 'names a modelRef and a pipelineRef: keep one'
    : undefined

/** Names of parameters are unique; told at each repetition. */
export function parameterProblems(names: readonly unknown[]): readonly RuleProblem[] {
  return names.flatMap((name, index) =>
    problemIf(
      typeof name === 'string' && name !== '' && names.indexOf(name) < index,
      `parameters[${String(index)}].name`,
      `"${String(name)}" is given twice: keep one`,
    ),
  )
}

const problemIf = (wrong: boolean, field: string, message: string): readonly RuleProblem[] =>
  wrong ? [{ field, message }] : []
