/** What `model.json` says of a JavaScript model: its tensors, which only it knows, and its limits. */
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { type Issue, issuesError } from '../../kit/errors.ts'
import type { DeclaredTensor, ModelDocument } from '../model-document.ts'

/** How far a model may go; each has an option of the server, which is the default and the most that may be asked for. */
export interface JavascriptLimits {
  readonly heapMb: number
  readonly inferenceMs: number
  readonly loadMs: number
}

export interface JavascriptDocument {
  readonly inputs: readonly DeclaredTensor[]
  readonly outputs: readonly DeclaredTensor[]
  readonly limits: JavascriptLimits
}

export const LIMIT_OPTIONS: Readonly<Record<keyof JavascriptLimits, string>> = {
  heapMb: '--javascript-heap-mb',
  inferenceMs: '--javascript-inference-ms',
  loadMs: '--javascript-load-ms',
}

/** A thread needs about this much before it has loaded anything. */
export const MIN_HEAP_MB = 16

const limitsSchema = Type.Object(
  {
    heapMb: Type.Optional(Type.Integer({ minimum: MIN_HEAP_MB })),
    inferenceMs: Type.Optional(Type.Integer({ minimum: 1 })),
    loadMs: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
)

/** @throws ServingError LOAD_FAILED listing everything that is wrong */
export function parseJavascriptDocument(document: ModelDocument, ceilings: JavascriptLimits): JavascriptDocument {
  const { inputs, outputs, raw } = document
  const issues: Issue[] = [...tensorIssues('inputs', inputs), ...tensorIssues('outputs', outputs)]
  const asked = raw['limits'] ?? {}
  const limits = Value.Check(limitsSchema, asked) ? asked : {}
  if (limits === asked) issues.push(...excessIssues(asked as Static<typeof limitsSchema>, ceilings))
  else
    for (const error of Value.Errors(limitsSchema, asked))
      issues.push({ path: `/limits${error.instancePath}`, message: error.message })
  if (issues.length > 0 || inputs === undefined || outputs === undefined)
    throw issuesError('LOAD_FAILED', 'model.json', issues)
  return { inputs, outputs, limits: { ...ceilings, ...limits } }
}

function tensorIssues(member: 'inputs' | 'outputs', tensors: readonly DeclaredTensor[] | undefined): Issue[] {
  if (tensors === undefined)
    return [{ path: `/${member}`, message: 'is missing: a JavaScript model declares name, datatype and shape of each' }]
  return tensors.flatMap(({ name, source }, index) => {
    const path = `/${member}/${String(index)}`
    if (tensors.findIndex((other) => other.name === name) !== index)
      return [{ path: `${path}/name`, message: `"${name}" is declared twice` }]
    return source === name ? [] : [{ path: `${path}/source`, message: 'means nothing for a JavaScript model' }]
  })
}

function excessIssues(asked: Partial<JavascriptLimits>, ceilings: JavascriptLimits): Issue[] {
  return (Object.keys(LIMIT_OPTIONS) as (keyof JavascriptLimits)[]).flatMap((name) => {
    const value = asked[name] ?? 0
    if (value <= ceilings[name]) return []
    return [
      {
        path: `/limits/${name}`,
        message: `${String(value)} is more than this server allows: ${String(ceilings[name])} (${LIMIT_OPTIONS[name]})`,
      },
    ]
  })
}

/** A limit as errors name it, with where it can be changed. */
export function describeLimit(name: keyof JavascriptLimits, limits: JavascriptLimits): string {
  const unit = name === 'heapMb' ? 'MB' : 'ms'
  return `${String(limits[name])} ${unit} (limits.${name} in model.json, at most ${LIMIT_OPTIONS[name]} of the server)`
}
