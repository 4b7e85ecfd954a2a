/**
 * Says everything that is wrong with a value, each with its path, what was found and what to do. TypeBox's own errors
 * stop at the eighth and name neither; the schemas stay TypeBox, and a property test keeps the two in agreement.
 */
import type { TSchema } from 'typebox'
import { nearest } from './nearest.ts'
import type { RuleProblem } from './rules.ts'

export type Path = readonly (string | number)[]
export interface FieldIssue {
  readonly path: Path
  readonly message: string
  /** Of a rule of ours (`refusal`, `rules`), which JSON Schema cannot say. */
  readonly isRule?: true
}

/** The part of JSON Schema that the resource schemas use. */
interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly patternProperties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly const?: string | boolean
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxItems?: number
  readonly pattern?: string
  /** A check of our own: why the value is refused, or undefined. */
  readonly refusal?: (value: unknown) => string | undefined
  /** The same for a mapping whose fields constrain each other. */
  readonly rules?: (value: Readonly<Record<string, unknown>>) => readonly RuleProblem[]
}

const NOUNS = {
  object: 'a mapping',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
}
const MAX_SHOWN = 60

/** Every problem of `value`, in the order of the schema's fields. Empty when it fits. */
export function checkFields(schema: TSchema, value: unknown): readonly FieldIssue[] {
  const issues: FieldIssue[] = []
  checkValue(schema as Schema, value, [], issues)
  return issues
}

/** `spec.parameters[0].name`; the document itself is `(document)`. */
export function formatPath(path: Path): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${String(part)}]` : `.${part}`)).join('')
  return text === '' ? '(document)' : text.replace(/^\./, '')
}

export const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function checkValue(schema: Schema, value: unknown, path: Path, issues: FieldIssue[]): void {
  const refuse = (message: string): void => {
    issues.push({ path, message })
  }
  if (schema.anyOf !== undefined) {
    const fits = schema.anyOf.some((choice) => matches(choice, value))
    if (!fits) refuse(`${show(value)} is not allowed; use ${schema.anyOf.map(describeSchema).join(' or ')}`)
  } else if (schema.const !== undefined) {
    if (value !== schema.const) refuse(`${show(value)} is not allowed; use ${String(schema.const)}`)
  } else if (schema.type !== undefined && !hasType(schema.type, value)) {
    refuse(`must be ${NOUNS[schema.type]}, not ${show(value)}`)
    return
  }
  if (typeof value === 'number') checkRange(schema, value, refuse)
  if (typeof value === 'string') checkText(schema, value, refuse)
  if (schema.items !== undefined && Array.isArray(value)) {
    if (schema.maxItems !== undefined && value.length > schema.maxItems)
      refuse(`has ${String(value.length)} entries: use at most ${String(schema.maxItems)}`)
    for (const [index, element] of value.entries()) checkValue(schema.items, element, [...path, index], issues)
  }
  if (schema.type === 'object' && isMapping(value)) checkMapping(schema, value, path, issues)
  const refusal = schema.refusal?.(value)
  if (refusal !== undefined) issues.push({ path, message: refusal, isRule: true })
}

function checkRange(schema: Schema, value: number, refuse: (message: string) => void): void {
  if (schema.minimum !== undefined && value < schema.minimum)
    refuse(`must be at least ${String(schema.minimum)}, not ${String(value)}`)
  if (schema.maximum !== undefined && value > schema.maximum)
    refuse(`must be at most ${String(schema.maximum)}, not ${String(value)}`)
}

function checkText(schema: Schema, value: string, refuse: (message: string) => void): void {
  if (value.length < (schema.minLength ?? 0)) refuse('must not be empty')
  else if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value))
    refuse(`${show(value)} does not match ${schema.pattern}`)
}

function checkMapping(
  schema: Schema,
  value: Readonly<Record<string, unknown>>,
  path: Path,
  issues: FieldIssue[],
): void {
  const properties = schema.properties ?? {}
  const others = Object.values(schema.patternProperties ?? {})[0]
  for (const [key, entry] of Object.entries(value)) {
    const known = Object.hasOwn(properties, key) ? properties[key] : others
    if (known !== undefined) checkValue(known, entry, [...path, key], issues)
    else issues.push({ path: [...path, key], message: unknownField(key, Object.keys(properties)) })
  }
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) issues.push({ path: [...path, key], message: 'is required' })
  }
  for (const { field, message } of schema.rules?.(value) ?? [])
    issues.push({ path: [...path, field], message, isRule: true })
}

function unknownField(key: string, known: readonly string[]): string {
  const suggestion = nearest(key, known)
  return suggestion === undefined
    ? `unknown field; known are ${known.join(', ')}`
    : `unknown field; did you mean ${suggestion}?`
}

function matches(schema: Schema, value: unknown): boolean {
  const issues: FieldIssue[] = []
  checkValue(schema, value, [], issues)
  return issues.length === 0
}

function hasType(type: NonNullable<Schema['type']>, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isMapping(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    case 'number':
      return Number.isFinite(value)
    case 'string':
    case 'boolean':
      return typeof value === type
  }
}

function describeSchema(schema: Schema): string {
  return schema.const?.toString() ?? (schema.type === undefined ? 'another value' : NOUNS[schema.type])
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}
