/**
 * The parts of a spec that take from edges, in one form: the `input` section, every step, the `output`. Pure. Validation
 * and compilation read references here only, so they cannot disagree on defaults.
 */
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { endKey, parseExternalReference, parseReference, type Reference, type ReferenceResult } from './reference.ts'

type StepSpec = PipelineSpec['steps'][number]
/** inner: all of them; outer: what is there when the window ends; any: the first. */
export type Join = NonNullable<StepSpec['inputsJoinType']>

export interface Section {
  readonly kind: 'input' | 'step' | 'output'
  /** The step's, or the pipeline's. */
  readonly name: string
  /** Where it stands, as in `spec.steps[2]`. */
  readonly path: string
  readonly data: References
  readonly triggers: References
  readonly tensorMap: Readonly<Record<string, string>>
  readonly windowMs: number | undefined
  readonly batch: StepSpec['batch']
  /** Reads a reference, or a key of the tensor map, as this section means it. */
  readonly parse: (text: string) => ReferenceResult
}

export interface References {
  readonly join: Join
  /** In the spec's order. The default has no path of its own. */
  readonly list: readonly { readonly path: string; readonly text: string; readonly result: ReferenceResult }[]
}

/** The `input` section, the steps in their order, the `output`. */
export function sectionsOf(pipeline: string, spec: PipelineSpec): readonly Section[] {
  const { input, output } = spec
  const inside = (path: string, texts: readonly string[] | undefined, join: Join | undefined) =>
    toReferences(path, texts, join, (text) => parseReference(pipeline, text))
  const sections: Section[] = []
  if (input !== undefined)
    sections.push({
      kind: 'input',
      name: pipeline,
      path: 'spec.input',
      data: toReferences('spec.input.externalInputs', input.externalInputs, input.joinType, parseExternalReference),
      triggers: toReferences(
        'spec.input.externalTriggers',
        input.externalTriggers,
        input.triggersJoinType,
        parseExternalReference,
      ),
      tensorMap: input.tensorMap ?? {},
      windowMs: toWindow(input.joinWindowMs),
      batch: undefined,
      parse: parseExternalReference,
    })
  for (const [index, step] of spec.steps.entries()) {
    const path = `spec.steps[${String(index)}]`
    sections.push({
      kind: 'step',
      name: step.name,
      path,
      data: stepInputs(pipeline, step, path, inside),
      triggers: inside(`${path}.triggers`, step.triggers, step.triggersJoinType),
      tensorMap: step.tensorMap ?? {},
      windowMs: toWindow(step.joinWindowMs),
      batch: step.batch,
      parse: (text) => parseReference(pipeline, text),
    })
  }
  if (output !== undefined)
    sections.push({
      kind: 'output',
      name: pipeline,
      path: 'spec.output',
      data: inside('spec.output.steps', output.steps, output.stepsJoin),
      triggers: { join: 'inner', list: [] },
      tensorMap: output.tensorMap ?? {},
      windowMs: toWindow(output.joinWindowMs),
      batch: undefined,
      parse: (text) => parseReference(pipeline, text),
    })
  return sections
}

/** The references of a list that can be read. */
export const readable = ({ list }: References): readonly Reference[] =>
  list.flatMap(({ result }) => (result.kind === 'reference' ? [result.reference] : []))

/** Different edges of references, in the order of first mention. */
export const distinctEnds = (references: readonly Reference[]): readonly string[] => [
  ...new Set(references.map(endKey)),
]

/** A step without inputs takes the pipeline's. */
function stepInputs(
  pipeline: string,
  step: StepSpec,
  path: string,
  inside: (path: string, texts: readonly string[] | undefined, join: Join | undefined) => References,
): References {
  const given = inside(`${path}.inputs`, step.inputs, step.inputsJoinType)
  if (given.list.length > 0) return given
  const end = { kind: 'pipeline', name: pipeline, side: 'inputs' } as const
  const reference = { end, pipeline, tensor: undefined }
  return { ...given, list: [{ path, text: pipeline, result: { kind: 'reference', reference } }] }
}

function toReferences(
  path: string,
  texts: readonly string[] | undefined,
  join: Join | undefined,
  parse: (text: string) => ReferenceResult,
): References {
  const list = (texts ?? []).map((text, index) => ({ path: `${path}[${String(index)}]`, text, result: parse(text) }))
  return { join: join ?? 'inner', list }
}

/** 0 is how some clients write that there is none. */
const toWindow = (joinWindowMs: number | undefined) => (joinWindowMs === 0 ? undefined : joinWindowMs)
