/**
 * References: how a pipeline's spec names the ends of its steps, of itself and of other pipelines. Pure.
 *
 * Inside: `step` (its outputs), `step.outputs[.tensor]`, `step.inputs[.tensor]`, `<pipeline>` (its inputs),
 * `<pipeline>.inputs[.tensor]`. Outside: `q` (its outputs), `q.inputs|outputs[.tensor]`, `q.step.s` (its outputs),
 * `q.step.s.inputs|outputs[.tensor]`.
 */
import type { TopicEnd } from '../journal/topics.ts'

export type DataEnd = Exclude<TopicEnd, { readonly kind: 'errors' }>
type Side = DataEnd['side']

export interface Reference {
  readonly end: DataEnd
  /** Whose records count: a model's topics carry those of every pipeline that uses it. */
  readonly pipeline: string
  /** Undefined: all of them. */
  readonly tensor: string | undefined
}
export type ReferenceResult =
  { readonly kind: 'reference'; readonly reference: Reference } | { readonly kind: 'problem'; readonly message: string }

/** One string for each end whose records count, so that two references can be told to mean the same. */
export const endKey = ({ end, pipeline }: Pick<Reference, 'end' | 'pipeline'>): string =>
  `${pipeline}/${end.kind}.${end.name}.${end.side}`

export const sameReference = (a: Reference, b: Reference): boolean => endKey(a) === endKey(b) && a.tensor === b.tensor

/** A step's end as people write it. */
export const showEnd = ({ end, pipeline }: Pick<Reference, 'end' | 'pipeline'>, own: string): string =>
  end.kind === 'model' && pipeline !== own ? `${pipeline}.step.${end.name}.${end.side}` : `${end.name}.${end.side}`

export const showReference = (reference: Reference, own: string): string =>
  showEnd(reference, own) + (reference.tensor === undefined ? '' : `.${reference.tensor}`)

/** A reference inside pipeline `own`; whether the step exists is not looked at. */
export function parseReference(own: string, text: string): ReferenceResult {
  const [name = '', side, tensor, ...rest] = text.split('.')
  if (text.trim() === '') return problem('is empty: name a step, as in "step" or "step.outputs.tensor"')
  if (name.trim() === '') return problem(`"${text}" does not begin with the name of a step`)
  if (rest.length > 0)
    return problem(
      `"${text}" has too many parts: at most step, inputs or outputs, and a tensor without dots in its name`,
    )
  const kind = name === own ? 'pipeline' : 'model'
  return withSide({ kind, name, pipeline: own, text }, side ?? (kind === 'pipeline' ? 'inputs' : 'outputs'), tensor)
}

/** A reference to what flows in another pipeline. */
export function parseExternalReference(text: string): ReferenceResult {
  const [pipeline = '', second, third, ...rest] = text.split('.')
  if (text.trim() === '') return problem('is empty: name a pipeline, as in "other" or "other.outputs.tensor"')
  if (pipeline.trim() === '') return problem(`"${text}" does not begin with the name of a pipeline`)
  if (second !== 'step') {
    if (rest.length > 0) return problem(`"${text}" has too many parts: at most pipeline, inputs or outputs, and tensor`)
    return withSide({ kind: 'pipeline', name: pipeline, pipeline, text }, second ?? 'outputs', third)
  }
  const [side, tensor, ...more] = rest
  if (third === undefined || third.trim() === '') return problem(`"${text}" names no step after "${pipeline}.step."`)
  if (more.length > 0)
    return problem(`"${text}" has too many parts: at most pipeline.step.name, inputs or outputs, and tensor`)
  return withSide({ kind: 'model', name: third, pipeline, text }, side ?? 'outputs', tensor)
}

function withSide(
  owner: { kind: DataEnd['kind']; name: string; pipeline: string; text: string },
  side: string,
  tensor: string | undefined,
): ReferenceResult {
  const { kind, name, pipeline, text } = owner
  if (!isSide(side)) return problem(`"${text}": "${side}" must be inputs or outputs`)
  if (tensor !== undefined && tensor.trim() === '') return problem(`"${text}" ends in a dot: name a tensor after it`)
  return { kind: 'reference', reference: { end: { kind, name, side }, pipeline, tensor } }
}

const isSide = (text: string): text is Side => text === 'inputs' || text === 'outputs'
const problem = (message: string): ReferenceResult => ({ kind: 'problem', message })
