/**
 * One schema per process: flag > environment > file > default, parsed once, frozen, unknown keys refused, every problem
 * reported at once. The schema's descriptions are the help text, so an option cannot exist without being documented.
 */
import { readFileSync } from 'node:fs'
import type { Static, TObject, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { parse as parseYaml } from 'yaml'
import { parseFlags } from './config-flags.ts'
import { type Issue, issuesError, ServingError } from './errors.ts'

export interface ProcessDefinition<S extends TObject> {
  readonly name: string
  readonly summary: string
  readonly schema: S
  /** Environment variables in place of MILLRACE_<PROCESS>_<OPTION>, by option name. */
  readonly environmentAliases?: Readonly<Record<string, string>>
}

export type ConfigResult<S extends TObject> =
  { readonly kind: 'run'; readonly config: Readonly<Static<S>> } | { readonly kind: 'print'; readonly text: string }

interface Field {
  readonly key: string
  readonly flag: string
  readonly environment: string
  readonly required: boolean
  readonly schema: TSchema & {
    readonly type?: string
    readonly default?: unknown
    readonly description?: string
    readonly anyOf?: readonly { readonly const?: unknown }[]
    readonly enum?: readonly unknown[]
  }
}

/** A value and where it came from, as errors name it. */
interface Found {
  readonly raw: unknown
  readonly origin: string
}

const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
const shout = (key: string): string => kebab(key).replaceAll('-', '_').toUpperCase()

function fieldsOf<S extends TObject>({ name, schema, environmentAliases }: ProcessDefinition<S>): readonly Field[] {
  const required: readonly string[] = schema.required ?? []
  return Object.entries(schema.properties as Record<string, Field['schema']>).map(([key, fieldSchema]) => ({
    key,
    flag: kebab(key),
    environment: environmentAliases?.[key] ?? `MILLRACE_${shout(name)}_${shout(key)}`,
    required: required.includes(key) && fieldSchema.default === undefined,
    schema: fieldSchema,
  }))
}

/** One option as documentation shows it. */
export interface DescribedOption {
  readonly flag: string
  readonly environment: string
  readonly standard: string
  readonly meaning: string
}

export const describeOptions = <S extends TObject>(definition: ProcessDefinition<S>): readonly DescribedOption[] =>
  fieldsOf(definition).map(({ flag, environment, required, schema }) => ({
    flag: `--${flag}`,
    environment,
    standard: standardText(required, schema),
    meaning: [schema.description ?? '', ...choicesText(schema)].join(' '),
  }))

const standardText = (required: boolean, schema: Field['schema']): string =>
  required ? 'required' : schema.default === undefined ? 'optional' : JSON.stringify(schema.default)

const choicesText = (schema: Field['schema']): readonly string[] => {
  const choices = choicesOf(schema)
  return choices.length === 0 ? [] : [`One of ${choices.join(', ')}.`]
}

/** `--help`: every option with its variable, default and meaning. */
export function helpText<S extends TObject>(definition: ProcessDefinition<S>): string {
  return [
    `Usage: millrace ${definition.name} [options]`,
    '',
    definition.summary,
    '',
    'Options (flag, else environment variable, else --config file, else default):',
    ...fieldsOf(definition).map(optionText),
    '  --config <path>\n      YAML or JSON file with the same options in camelCase.',
    '  --print-config\n      Print the resulting configuration and exit.',
    '  --help\n      Print this and exit.',
    '',
  ].join('\n')
}

function optionText({ flag, environment, required, schema }: Field): string {
  const choices = choicesOf(schema)
  const form = choices.length > 0 ? choices.join('|') : schema.type === 'array' ? 'a,b' : (schema.type ?? 'value')
  const standard = required
    ? 'required'
    : schema.default === undefined
      ? 'optional'
      : `default ${JSON.stringify(schema.default)}`
  const value = schema.type === 'boolean' ? '' : ` <${form}>`
  return `  --${flag}${value}\n      ${schema.description ?? ''} (${standard}; ${environment})`
}

/** Of Type.Enum, or a Type.Union of literals. */
const choicesOf = (schema: Field['schema']): readonly string[] =>
  (schema.enum ?? (schema.anyOf ?? []).map((choice) => choice.const)).filter((choice) => typeof choice === 'string')

/**
 * @throws ServingError CONFIG_INVALID naming everything that is wrong, each with where it was said.
 */
export function parseConfig<S extends TObject>(
  definition: ProcessDefinition<S>,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): ConfigResult<S> {
  const fields = fieldsOf(definition)
  const kinds = fields.map(({ flag, schema }) => [flag, schema.type === 'boolean' ? 'boolean' : 'text'] as const)
  const flags = parseFlags(
    { ...Object.fromEntries(kinds), config: 'text', 'print-config': 'boolean', help: 'boolean' },
    argv,
  )
  if (flags.values['help'] === true) return { kind: 'print', text: helpText(definition) }
  const path = flags.values['config']
  const file = typeof path === 'string' ? readFile(path) : {}
  const issues: Issue[] = [...flags.issues, ...unknownKeys(fields, file)]
  const values: Record<string, unknown> = {}
  for (const field of fields) {
    const found = findValue(field, flags.values, environment, file)
    if (found !== undefined) values[field.key] = toValue(field, found, issues)
    else if (field.required) issues.push({ path: `--${field.flag}`, message: `is required (or ${field.environment})` })
  }
  if (issues.length > 0) throw issuesError('CONFIG_INVALID', `configuration of ${definition.name}`, issues)
  if (flags.values['print-config'] === true) return { kind: 'print', text: `${JSON.stringify(values, undefined, 2)}\n` }
  return { kind: 'run', config: Object.freeze(values) as Static<S> }
}

/** The first that says something, by precedence; an empty variable says nothing. */
function findValue(
  { key, flag, environment: variable, schema }: Field,
  flags: Readonly<Record<string, string | boolean>>,
  environment: NodeJS.ProcessEnv,
  file: Readonly<Record<string, unknown>>,
): Found | undefined {
  const candidates: readonly Found[] = [
    { raw: flags[flag], origin: `--${flag}` },
    { raw: environment[variable] === '' ? undefined : environment[variable], origin: variable },
    { raw: Object.hasOwn(file, key) ? file[key] : undefined, origin: `config file ${key}` },
    { raw: schema.default, origin: `default of --${flag}` },
  ]
  return candidates.find(({ raw }) => raw !== undefined && raw !== null)
}

function toValue({ schema }: Field, { raw, origin }: Found, issues: Issue[]): unknown {
  const value = typeof raw === 'string' ? fromText(schema.type, raw) : raw
  if (!Value.Check(schema, value)) {
    const choices = choicesOf(schema)
    const reason =
      choices.length > 0
        ? `must be one of ${choices.join(', ')}`
        : Value.Errors(schema, value)
            .map((error) => error.message)
            .join(', ')
    issues.push({
      path: origin,
      message: `${typeof value === 'number' ? String(value) : JSON.stringify(value)}: ${reason}`,
    })
  }
  return Array.isArray(value) ? Object.freeze([...(value as unknown[])]) : value
}

function unknownKeys(fields: readonly Field[], file: Readonly<Record<string, unknown>>): readonly Issue[] {
  return Object.keys(file)
    .filter((key) => !fields.some((field) => field.key === key))
    .map((key) => ({ path: `config file ${key}`, message: 'unknown option; see --help' }))
}

function readFile(path: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = parseYaml(readFileSync(path, 'utf8'))
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('CONFIG_INVALID', `--config ${path}: ${reason}`, { cause: error })
  }
  throw new ServingError('CONFIG_INVALID', `--config ${path}: must be a mapping of options`)
}

/** Flags and variables are text: read them as the schema's type says. What does not fit is left for the schema to refuse. */
function fromText(type: string | undefined, text: string): unknown {
  switch (type) {
    case 'integer':
    case 'number':
      return text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text)
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'array':
      return text === '' ? [] : text.split(',').map((part) => part.trim())
    case undefined:
    default:
      return text
  }
}
