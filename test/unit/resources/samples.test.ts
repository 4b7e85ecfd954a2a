/** The manifests of `samples/`: what a reader copies must be right, and what is to be refused must be refused for its reason. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseManifests } from '../../../api/resources/manifest.ts'
import type { Resource } from '../../../api/resources/resource.ts'
import { validatePipeline } from '../../../dataflow/plan/validate.ts'
import { ServingError } from '../../../kit/errors.ts'
import { packageRoot } from '../../../kit/root.ts'

const samples = join(packageRoot, 'samples')
const filesOf = (folder: string): readonly string[] =>
  readdirSync(join(samples, folder))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => `${folder}/${name}`)

/** @throws ServingError with everything that is wrong with it */
function read(file: string): Resource {
  const folder = join(samples, file, '..')
  const [manifest, ...others] = parseManifests(readFileSync(join(samples, file), 'utf8'), { name: file, folder })
  if (manifest === undefined || others.length > 0) throw new Error(`${file} is not one manifest`)
  return manifest.resource
}

const models = new Set(filesOf('models').map((file) => read(file).metadata.name))
const pipelines = new Map(filesOf('pipelines').map((file) => [read(file).metadata.name, read(file)]))

describe('samples', () => {
  it.each(filesOf('pipelines'))('%s is a pipeline of sample models', (file) => {
    const { kind, metadata, spec } = read(file)
    if (kind !== 'Pipeline') throw new Error(`${file} is a ${kind}`)
    const specOf = (name: string) => {
      const other = pipelines.get(name)
      return other?.kind === 'Pipeline' ? other.spec : undefined
    }
    expect(validatePipeline(metadata.name, spec, specOf)).toEqual([])
    expect(spec.steps.map(({ name }) => name).filter((name) => !models.has(name))).toEqual([])
    const sources = (spec.input?.externalInputs ?? []).map((reference) => reference.split('.')[0] ?? '')
    expect(sources.filter((name) => !pipelines.has(name))).toEqual([])
  })

  it.each(filesOf('experiments'))('%s is an experiment between samples', (file) => {
    const { kind, spec } = read(file)
    if (kind !== 'Experiment') throw new Error(`${file} is a ${kind}`)
    const known = spec.resourceType === 'pipeline' ? [...pipelines.keys()] : [...models]
    const named = [...(spec.candidates ?? []), ...(spec.mirror === undefined ? [] : [spec.mirror])]
    expect(named.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([])
  })

  it.each([
    ['pipelines/refused/error-bad-spec.yaml', 'spec.steps[0].imputs'],
    ['pipelines/refused/error-empty-input.yaml', 'spec.steps[1].inputs[0]'],
    ['pipelines/refused/error-empty-trigger.yaml', 'spec.steps[1].triggers[0]'],
    ['pipelines/refused/error-step-name.yaml', 'spec.steps[0].name'],
    ['experiments/refused/error-bad-spec.yaml', 'spec.candidate'],
  ])('%s is refused at %s', (file, path) => {
    expect(problemsOf(file).some((problem) => problem.endsWith(path))).toBe(true)
  })

  it('that are refused are all named here', () => {
    expect([...filesOf('pipelines/refused'), ...filesOf('experiments/refused')]).toHaveLength(5)
  })
})

function problemsOf(file: string): readonly string[] {
  try {
    const { kind, metadata, spec } = read(file)
    return kind === 'Pipeline' ? validatePipeline(metadata.name, spec).map(({ path }) => path) : []
  } catch (error) {
    if (error instanceof ServingError) return error.issues.map(({ path }) => path)
    throw error
  }
}
