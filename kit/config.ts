/**
 * One schema per process: flag > environment > file > default, parsed once, frozen, unknown keys refused, every problem
 * reported at once. The schema's descriptions are the help text, so an option cannot exist without being documented.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Static, type TObject, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { parse as parseYaml } from 'yaml'
import { type Issue, issuesError, ServingError } from './errors.ts'

export interface ProcessDefinition<S extends TObject> {
  readonly name: string
  readonly summary: string
  readonly schema: S
  /** Environment variables other than MILLRACE_<PROCESS>_<OPTION>, by option name. */
  readonly environmentAliases?: Readonly<Record<string, string>>
}

export type ConfigResult<S extends TObject> =
  { readonly kind: 'run'; readonly config: Readonly<Static<S>> } | { readonly kind: 'print'; readonly text: string }

interface Field {
  readonly key: string
  readonly flag: string
  readonly environment: string
  readonly schema: TSchema & { type?: string; default?: unknown; description?: string; items?: { type?: string } }
}

const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

function fieldsOf<S extends TObject>(definition: ProcessDefinition<S>): Field[] {
  return Object.entries(definition.schema.properties as Record<string, Field['schema']>).map(([key, schema]) => ({
    key,
    flag: kebab(key),
    environment:
      definition.environmentAliases?.[key] ??
      `MILLRACE_${kebab(definition.name).replaceAll('-', '_').toUpperCase()}_${kebab(key).replaceAll('-', '_').toUpperCase()}`,
    schema,
  }))
}

/** `--help`: every option with its variable, default and meaning. */
export function helpText<S extends TObject>(definition: ProcessDefinition<S>): string {
  const rows = fieldsOf(definition).map((field) => {
    const type =
      field.schema.type === 'boolean'
        ? ''
        : ` <${field.schema.type === 'array' ? 'a,b' : (field.schema.type ?? 'value')}>`
    const standard = field.schema.default === undefined ? 'required' : `default ${JSON.stringify(field.schema.default)}`
    return `  --${field.flag}${type}\n      ${field.schema.description ?? ''} (${standard}; ${field.environment})`
  })
  return [
    `Usage: millrace ${definition.name} [options]`,
    '',
    definition.summary,
    '',
    'Options (flag, else environment variable, else --config file, else default):',
    ...rows,
    '  --config <path>\n      YAML or JSON file with the same options in camelCase.',
    '  --print-config\n      Print the resulting configuration and exit.',
    '  --help\n      Print this and exit.',
    '',
  ].join('\n')
}

/**
 * @throws ServingError CONFIG_INVALID naming every option that is wrong.
 */
export function parseConfig<S extends TObject>(
  definition: ProcessDefinition<S>,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): ConfigResult<S> {
  const fields = fieldsOf(definition)
  const flags = readFlags(fields, argv)
  if (flags['help'] === true) return { kind: 'print', text: helpText(definition) }
  const issues: Issue[] = []
  const fromFile = typeof flags['config'] === 'string' ? readFile(flags['config']) : {}
  for (const key of Object.keys(fromFile)) {
    if (!fields.some((field) => field.key === key))
      issues.push({ path: `config file ${key}`, message: 'unknown option; see --help' })
  }
  const values: Record<string, unknown> = {}
  for (const field of fields) {
    const raw = flags[field.flag] ?? environment[field.environment] ?? fromFile[field.key] ?? field.schema.default
    if (raw === undefined) issues.push({ path: `--${field.flag}`, message: `is required (or ${field.environment})` })
    else values[field.key] = fromText(field, raw)
  }
  for (const field of fields) {
    const value = values[field.key]
    if (value === undefined || Value.Check(field.schema, value)) continue
    const reason = [...Value.Errors(field.schema, value)].map((error) => error.message).join(', ')
    issues.push({ path: `--${field.flag}`, message: `${JSON.stringify(value)}: ${reason}` })
  }
  if (issues.length > 0) throw issuesError('CONFIG_INVALID', `configuration of ${definition.name}`, issues)
  if (flags['print-config'] === true) return { kind: 'print', text: `${JSON.stringify(values, undefined, 2)}\n` }
  return { kind: 'run', config: Object.freeze(values) as Static<S> }
}

function readFlags(fields: readonly Field[], argv: readonly string[]): Record<string, string | boolean | undefined> {
  try {
    const { values } = parseArgs({
      args: [...argv],
      strict: true,
      allowPositionals: false,
      options: {
        ...Object.fromEntries(
          fields.map((f) => [
            f.flag,
            { type: f.schema.type === 'boolean' ? ('boolean' as const) : ('string' as const) },
          ]),
        ),
        config: { type: 'string' },
        'print-config': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
      allowNegative: true,
    })
    return values as Record<string, string | boolean | undefined>
  } catch (error) {
    throw new ServingError('CONFIG_INVALID', `${error instanceof Error ? error.message : String(error)}; see --help`, {
      cause: error,
    })
  }
}

function readFile(path: string): Record<string, unknown> {
  try {
    const parsed: unknown = parseYaml(readFileSync(path, 'utf8'))
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>
  } catch (error) {
    throw new ServingError(
      'CONFIG_INVALID',
      `--config ${path}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
  throw new ServingError('CONFIG_INVALID', `--config ${path}: must be a mapping of options`)
}

/** Flags and variables are text: read them as the schema's type says. What does not fit is left for the schema to refuse. */
function fromText(field: Field, raw: unknown): unknown {
  if (typeof raw !== 'string') return raw
  switch (field.schema.type) {
    case 'integer':
    case 'number':
      return raw.trim() === '' || Number.isNaN(Number(raw)) ? raw : Number(raw)
    case 'boolean':
      return raw === 'true' ? true : raw === 'false' ? false : raw
    case 'array':
      return raw === '' ? [] : raw.split(',').map((part) => part.trim())
    case undefined:
    default:
      return raw
  }
}
