/** The `millrace` command: one line per command here, everything else in the folder that is named. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { toServingError } from '../kit/errors.ts'
import { packageRoot } from '../kit/root.ts'
import { nearest } from '../api/resources/nearest.ts'

interface Command {
  readonly summary: string
  readonly load: () => Promise<{ main: (argv: readonly string[]) => Promise<void> }>
  /** `main` gets its own name as the first argument: several commands share it. */
  readonly shared?: boolean
}

const cli = (summary: string): Command => ({ summary, load: () => import('../cli/main.ts'), shared: true })

const COMMANDS: Readonly<Record<string, Command>> = {
  up: { summary: 'Run a whole Millrace on this machine.', load: () => import('../up/main.ts') },
  apply: cli('Create or update the resources of a manifest.'),
  get: cli('List resources, or show one.'),
  describe: cli('Show a resource with its versions, replicas and events.'),
  delete: cli('Delete resources.'),
  infer: cli('Ask a model, by REST or gRPC.'),
  status: cli('Show what is ready; --wait until it is.'),
  rollback: cli('Make a new version out of an earlier one.'),
  completion: cli('Print a completion script for your shell.'),
  scheduler: { summary: 'Run the control plane.', load: () => import('../scheduler/main.ts') },
  agent: { summary: 'Run the agent beside one model server replica.', load: () => import('../agent/main.ts') },
  'model-server': { summary: 'Run the embedded model server.', load: () => import('../model-server/main.ts') },
  'mesh-metrics': { summary: 'Serve the metrics of one Envoy to Prometheus.', load: () => import('../mesh/main.ts') },
}

const EXIT = { ok: 0, failure: 1, usage: 2 } as const

function helpText(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length))
  return [
    'Usage: millrace <command> [options]',
    '',
    'Commands:',
    ...Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'Options:',
    '  --help     Print this; after a command, print its own options.',
    '  --version  Print the version.',
    '',
    'Exit codes: 0 done, 1 failed, 2 wrong usage; some commands have more, see their --help.',
    '',
  ].join('\n')
}

function versionText(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  return `millrace ${manifest.version}\n`
}

async function run(argv: readonly string[]): Promise<void> {
  const [name, ...rest] = argv
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(helpText())
    if (name === undefined) process.exitCode = EXIT.usage
    return
  }
  if (name === '--version' || name === '-V') {
    process.stdout.write(versionText())
    return
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) {
    const suggestion = nearest(name, Object.keys(COMMANDS))
    const hint = suggestion === undefined ? '' : ` Did you mean "${suggestion}"?`
    process.stderr.write(`millrace: no command "${name}".${hint} See millrace --help.\n`)
    process.exitCode = EXIT.usage
    return
  }
  const { main } = await command.load()
  await main(command.shared === true ? argv : rest)
}

try {
  await run(process.argv.slice(2))
} catch (error) {
  const failure = toServingError(error)
  process.stderr.write(`millrace: ${failure.code}: ${failure.message}\n`)
  process.exitCode = failure.code === 'CONFIG_INVALID' ? EXIT.usage : EXIT.failure
}
