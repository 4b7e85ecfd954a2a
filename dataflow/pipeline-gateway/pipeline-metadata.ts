/** What a pipeline takes and gives, from what the models of its steps take and give. Pure. */
import type { ModelMetadata, TensorMetadata } from '../../api/oip/metadata.ts'
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { parseTopicReference, type TopicReference } from '../journal/topics.ts'

type Step = PipelineSpec['steps'][number]

/** Each model once. */
export const stepModels = (spec: PipelineSpec): readonly string[] => [...new Set(spec.steps.map(({ name }) => name))]

export function composeMetadata(
  pipeline: string,
  version: number,
  spec: PipelineSpec,
  models: ReadonlyMap<string, ModelMetadata>,
): ModelMetadata {
  return {
    name: pipeline,
    versions: [String(version)],
    platform: 'pipeline',
    inputs: unique(spec.steps.flatMap((step) => inputsOf(pipeline, step, models.get(step.name)))),
    outputs: unique((spec.output?.steps ?? []).flatMap((text) => outputsOf(pipeline, text, spec, models))),
    parameters: NO_PARAMETERS,
  }
}

/** The model's inputs that come from the pipeline's own, under the names that they have there. */
function inputsOf(pipeline: string, step: Step, model: ModelMetadata | undefined): readonly TensorMetadata[] {
  const references = referencesOf(
    pipeline,
    step.inputs === undefined || step.inputs.length === 0 ? [pipeline] : step.inputs,
  )
  const own = references.filter(({ end }) => end.kind === 'pipeline')
  if (own.length === 0 || model === undefined) return []
  const named = own.flatMap(({ tensor }) => (tensor === undefined ? [] : [tensor]))
  const givenByOthers = new Set(
    references.flatMap(({ end, tensor }) =>
      end.kind === 'model' && tensor !== undefined
        ? [mapped(step.tensorMap, `${end.name}.${end.side}.${tensor}`, tensor)]
        : [],
    ),
  )
  const names = named.length > 0 ? named : sourceNames(pipeline, step, model, givenByOthers)
  return names.flatMap((name) => {
    const taken = mapped(step.tensorMap, `${pipeline}.inputs.${name}`, name)
    const input = model.inputs.find((tensor) => tensor.name === taken)
    return input === undefined ? [] : [{ ...input, name }]
  })
}

/** Of a step that takes all tensors of the pipeline: under what names its model's inputs are sent. */
function sourceNames(
  pipeline: string,
  { tensorMap }: Step,
  model: ModelMetadata,
  givenByOthers: ReadonlySet<string>,
): readonly string[] {
  const start = `${pipeline}.inputs.`
  const sources = new Map(
    Object.entries(tensorMap ?? {}).flatMap(([from, to]) =>
      from.startsWith(start) ? [[to, from.slice(start.length)] as const] : [],
    ),
  )
  return model.inputs.filter(({ name }) => !givenByOthers.has(name)).map(({ name }) => sources.get(name) ?? name)
}

function outputsOf(
  pipeline: string,
  text: string,
  spec: PipelineSpec,
  models: ReadonlyMap<string, ModelMetadata>,
): readonly TensorMetadata[] {
  return referencesOf(pipeline, [text]).flatMap(({ end, tensor }) => {
    if (end.kind !== 'model') return []
    const offered = models.get(end.name)?.[end.side] ?? []
    return offered
      .filter(({ name }) => tensor === undefined || name === tensor)
      .map((one) => ({ ...one, name: mapped(spec.output?.tensorMap, `${end.name}.${end.side}.${one.name}`, one.name) }))
  })
}

const referencesOf = (pipeline: string, texts: readonly string[]): readonly TopicReference[] =>
  texts.flatMap((text) => parseTopicReference(pipeline, text) ?? [])

const mapped = (tensorMap: Readonly<Record<string, string>> | undefined, key: string, name: string): string =>
  tensorMap?.[key] ?? name

const unique = (tensors: readonly TensorMetadata[]): readonly TensorMetadata[] => [
  ...new Map(tensors.map((tensor) => [tensor.name, tensor])).values(),
]
