/**
 * The `millrace` command. Processes are dispatched here, each loaded only when asked for; whatever else is said goes to
 * the clients' command tree, which knows help, suggestions and exit codes (cli/program.ts, cli/exit-codes.ts), together
 * with the commands about this machine (up/machine-commands.ts).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { toServingError } from '../kit/errors.ts'
import { packageRoot } from '../kit/root.ts'

type Process = () => Promise<{ main: (argv: readonly string[]) => Promise<void> }>

const PROCESSES: Readonly<Record<string, Process>> = {
  up: () => import('../up/main.ts'),
  scheduler: () => import('../scheduler/main.ts'),
  agent: () => import('../agent/main.ts'),
  'model-server': () => import('../model-server/main.ts'),
  'mesh-metrics': () => import('../mesh/main.ts'),
  engine: () => import('../dataflow/engine/main.ts'),
  'pipeline-gateway': () => import('../dataflow/pipeline-gateway/main.ts'),
  'model-gateway': () => import('../dataflow/model-gateway/main.ts'),
}

const EXIT_FAILED = 1
const EXIT_USAGE = 2

async function run(argv: readonly string[]): Promise<void> {
  const [name = '--help', ...rest] = argv
  if (name === '--version' || name === '-V') {
    process.stdout.write(versionText())
    return
  }
  const start = Object.hasOwn(PROCESSES, name) ? PROCESSES[name] : undefined
  if (start !== undefined) {
    await (await start()).main(rest)
    return
  }
  const [clients, { MACHINE_COMMANDS }] = await Promise.all([
    import('../cli/main.ts'),
    import('../up/machine-commands.ts'),
  ])
  await clients.main([name, ...rest], MACHINE_COMMANDS)
}

function versionText(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  return `millrace ${manifest.version}\n`
}

try {
  await run(process.argv.slice(2))
} catch (error) {
  const failure = toServingError(error)
  process.stderr.write(`millrace: ${failure.code}: ${failure.message}\n`)
  process.exitCode = failure.code === 'CONFIG_INVALID' ? EXIT_USAGE : EXIT_FAILED
}
