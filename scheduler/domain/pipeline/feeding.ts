/** Why nothing may come of a pipeline that another one names in `spec.input`, for people. */
import type { PipelineDocument, PipelineVersionDocument } from '../documents.ts'
import { externalPipelines, externalReferences, servingPipelineVersion } from './facts.ts'

/** One sentence for each of the named pipelines of which nothing comes. */
export const feedingProblems = (
  version: PipelineVersionDocument,
  pipeline: (name: string) => PipelineDocument | undefined,
): readonly string[] =>
  externalPipelines(version).flatMap((name) => {
    const problem = problemOf(pipeline(name), externalReferences(version, name))
    return problem === undefined ? [] : [`nothing comes from pipeline ${name}, which it names as an input: ${problem}`]
  })

function problemOf(named: PipelineDocument | undefined, references: readonly string[]): string | undefined {
  if (named === undefined) return 'there is none of that name'
  if (named.deleted) return 'it is being deleted'
  const { spec } = servingPipelineVersion(named) ?? named.versions.at(-1) ?? {}
  const record = spec?.dataflow?.record ?? 'all'
  if (record === 'none') return 'it records nothing (dataflow.record none)'
  const steps = references.flatMap((text) => {
    const [, second, step = ''] = text.split('.')
    return second === 'step' ? [step] : []
  })
  if (record === 'boundary' && steps.length > 0) return 'it does not record its steps (dataflow.record boundary)'
  const unknown = steps.find((step) => spec?.steps.every((one) => one.name !== step))
  if (unknown !== undefined) return `it has no step ${unknown}`
  const isAnswerTaken = references.some((text) => (text.split('.')[1] ?? 'outputs') === 'outputs')
  return isAnswerTaken && spec?.output === undefined ? 'it has no output' : undefined
}
