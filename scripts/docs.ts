/** `npm run docs`: the documents that are made from the code. A unit test keeps the committed ones equal to these. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { status } from '@grpc/grpc-js'
import { type Command, type Option } from 'commander'
import { EXIT, EXIT_MEANINGS } from '../cli/exit-codes.ts'
import { createProgram, PROCESSES } from '../cli/program.ts'
import { catalogue } from '../kit/errors.ts'
import { packageRoot } from '../kit/root.ts'
import { operationsDocument } from './operations.ts'
import { MADE_FROM, page, table } from './markdown.ts'
import { MACHINE_COMMANDS } from '../up/machine-commands.ts'

/** By path in the repository. */
export const DOCUMENTS: Readonly<Record<string, () => string>> = {
  'docs/errors.md': errorsDocument,
  'docs/cli.md': cliDocument,
  'docs/operations.md': operationsDocument,
}

function errorsDocument(): string {
  const rows = Object.entries(catalogue).map(([code, { grpc, http, retryable, help }]) => [
    `\`${code}\``,
    `${String(grpc)} ${status[grpc] ?? ''}`,
    String(http),
    retryable ? 'yes' : 'no',
    help,
  ])
  return page([
    '# Errors',
    MADE_FROM('`kit/errors.ts`'),
    'Every error that reaches a user has one of these codes. gRPC answers carry it in the metadata entry `x-millrace-error-code`, ' +
      'REST answers of our own ports as `code` beside `error`. "Retry" says whether the same call may succeed later with nothing changed. ' +
      'The wire-compatible scheduler API answers FAILED_PRECONDITION where its clients take only that for final.',
    table(['Code', 'gRPC', 'HTTP', 'Retry', 'What to do'], rows),
  ])
}

function cliDocument(): string {
  const program = createProgram(() => Promise.resolve(), MACHINE_COMMANDS)
  const exits = Object.entries(EXIT).map(([name, code]) => [String(code), EXIT_MEANINGS[name as keyof typeof EXIT]])
  return page([
    '# The `millrace` command',
    MADE_FROM('`cli/`'),
    'Processes: ' +
      Object.entries(PROCESSES)
        .map(([name, meaning]) => `\`millrace ${name}\` (${meaning})`)
        .join(', ') +
      '. Each prints its options with `--help` and its resulting configuration with `--print-config`.',
    'The commands below are clients of a running Millrace. Answers go to standard output, everything else to standard error; ' +
      'colours only where a person reads (a terminal, and `NO_COLOR` unset). A time is written as `500ms`, `60s`, `2m` or `1h`.',
    'Kinds are named `model`, `models`, `mlm` and `server`, `servers`, `mls`; one resource is `model iris` or `model/iris`.',
    '## Options of every command',
    optionTable(program.options),
    ...program.commands.flatMap(commandSection),
    '## Exit codes',
    table(['Code', 'Meaning'], exits),
  ])
}

function commandSection(command: Command): readonly string[] {
  const details = command.registeredArguments
    .filter((argument) => argument.description !== '')
    .map((argument) => `- \`${argument.name()}\`: ${argument.description}`)
  return [
    `## \`millrace ${command.name()}\``,
    command.description(),
    `\`\`\`\nmillrace ${command.name()} ${command.usage()}\n\`\`\``,
    ...(details.length === 0 ? [] : [details.join('\n')]),
    ...(command.options.length === 0 ? [] : [optionTable(command.options)]),
  ]
}

function optionTable(options: readonly Option[]): string {
  const rows = options.map((option) => {
    const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`
    const standard: unknown = option.defaultValueDescription ?? option.defaultValue
    const shown = typeof standard === 'string' ? ` (default: ${standard})` : ''
    const variable = option.envVar === undefined ? '' : `\`${option.envVar}\``
    return [`\`${option.flags}\``, `${option.description}${choices}${shown}`, variable]
  })
  return table(['Option', 'Meaning', 'Variable'], rows)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  for (const [path, make] of Object.entries(DOCUMENTS)) writeFileSync(join(packageRoot, path), make())
