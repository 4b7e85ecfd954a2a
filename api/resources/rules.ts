/**
 * What values of a resource must be beyond their types: names, and fields that constrain each other. Pure. The client
 * checks them with the structure, so that a manifest gets every problem at once; the scheduler's domain checks them again,
 * because its compatible API has no manifests.
 */

export const MAX_NAME_LENGTH = 63
/** No upper bound. */
export const UNLIMITED_REPLICAS = 0xffff_ffff

/** What is wrong with a resource's name; undefined when it is good. No underscore: it separates the version. */
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

/** The part of an Experiment that its rules read, perhaps not of its shape yet. */
export interface ExperimentDraft {
  readonly default?: unknown
  readonly candidates?: unknown
  readonly mirror?: unknown
  readonly rollout?: unknown
}

/** Nothing could move with neither a surplus nor a lack. */
export function rollingUpdateProblems({ rollingUpdate }: { readonly rollingUpdate?: unknown }): readonly RuleProblem[] {
  if (!isRecord(rollingUpdate)) return []
  const isNothing = (key: string): boolean => rollingUpdate[key] === 0 || rollingUpdate[key] === '0%'
  return problemIf(
    isNothing('maxSurge') && isNothing('maxUnavailable'),
    'rollingUpdate',
    'has maxSurge 0 and maxUnavailable 0: one of them must be more, or nothing could move',
  )
}

/** Something to send to, each name once, a default among the candidates, and weights that say something. */
export function experimentProblems(spec: ExperimentDraft): readonly RuleProblem[] {
  const candidates = recordsOf(spec.candidates)
  const names = candidates.map(({ name }) => textOf(name))
  const weights = candidates.map(({ weight }) => weight)
  const mirror = isRecord(spec.mirror) ? textOf(spec.mirror['name']) : undefined
  const baseline = textOf(spec.default)
  return [
    ...problemIf(
      spec.mirror === undefined && (spec.candidates === undefined || isEmpty(spec.candidates)),
      'candidates',
      'is empty and there is no mirror: name at least one candidate',
    ),
    ...names.flatMap((name, index) =>
      problemIf(
        name !== undefined && names.indexOf(name) < index,
        `candidates[${String(index)}].name`,
        `"${name ?? ''}" is named twice: keep one`,
      ),
    ),
    ...problemIf(
      mirror !== undefined && names.includes(mirror),
      'mirror.name',
      `"${mirror ?? ''}" is a candidate already: a mirror is somebody else`,
    ),
    ...problemIf(
      weights.length > 0 && weights.every((weight) => weight === 0),
      'candidates',
      'have weights that sum up to 0: give one of them more',
    ),
    ...problemIf(
      baseline !== undefined && !names.includes(baseline),
      'default',
      `"${baseline ?? ''}" is not among the candidates: add it, or name one of them`,
    ),
    ...rolloutProblems(spec),
  ]
}

/** A rollout compares one candidate with the default, at shares that grow. */
function rolloutProblems({ rollout, default: baseline, candidates }: ExperimentDraft): readonly RuleProblem[] {
  if (!isRecord(rollout)) return []
  const steps: unknown = rollout['steps']
  const shares = Array.isArray(steps) ? (steps as readonly unknown[]) : []
  const isGrowing = shares.every((share, index) => {
    const before = shares[index - 1]
    return typeof share !== 'number' || typeof before !== 'number' || share > before
  })
  return [
    ...problemIf(baseline === undefined, 'rollout', 'needs spec.default: there is nothing to compare with'),
    ...problemIf(
      Array.isArray(candidates) && candidates.length !== 2,
      'rollout',
      `is between the default and one other candidate, not ${String(recordsOf(candidates).length)}`,
    ),
    ...problemIf(isEmpty(steps), 'rollout.steps', 'is empty: give the shares in percent, as in [5, 25, 50]'),
    ...problemIf(!isGrowing, 'rollout.steps', 'must grow from step to step'),
    ...problemIf(
      shares.includes(100) && comparesWithDefault(rollout['analysis']),
      'rollout.steps',
      'reach 100, which leaves the default nothing to compare with: use 99 at most, or limits in milliseconds',
    ),
  ]
}

const comparesWithDefault = (analysis: unknown): boolean =>
  isRecord(analysis) && (analysis['maxP50Ratio'] !== undefined || analysis['maxP99Ratio'] !== undefined)

/** What is wrong with the name of a request header; undefined when it is good. */
export function headerProblem(name: string): string | undefined {
  if (/^[a-z0-9_-]{1,64}$/.test(name)) return undefined // what the router filter reads
  return `${JSON.stringify(name)} is not the name of a header: use lower-case letters, digits and dashes, at most 64`
}

/** A condition says exactly one thing of its header. */
export function matchProblem(match: Readonly<Record<string, unknown>>): string | undefined {
  const said = ['exact', 'prefix', 'present'].filter((key) => match[key] !== undefined)
  return said.length === 1 ? undefined : 'must say one of exact, prefix and present'
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const recordsOf = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.map((entry: unknown) => (isRecord(entry) ? entry : {})) : []

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0

const problemIf = (wrong: boolean, field: string, message: string): readonly RuleProblem[] =>
  wrong ? [{ field, message }] : []
