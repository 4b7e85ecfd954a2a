/** The command tree of the clients; what runs, and what documentation is made from. */
import { Command } from 'commander'
import { addApply } from './commands/apply.ts'
import { addCompletion } from './commands/completion.ts'
import { addDelete } from './commands/delete.ts'
import { addDescribe } from './commands/describe.ts'
import { addExplain } from './commands/explain.ts'
import { addGet } from './commands/get.ts'
import { addInfer } from './commands/infer.ts'
import { addInspect } from './commands/inspect.ts'
import { addReplay } from './commands/replay.ts'
import { addRollback } from './commands/rollback.ts'
import { addStatus } from './commands/status.ts'
import { addTop } from './commands/top.ts'
import { EXIT, EXIT_MEANINGS } from './exit-codes.ts'
import { type Run, sessionOptions } from './session.ts'

/** Commands that are processes: dispatched by bin/millrace.ts before this tree is asked. */
export const PROCESSES: Readonly<Record<string, string>> = {
  up: 'start everything on this machine',
  scheduler: 'the control plane',
  agent: 'beside each model server',
  'model-server': 'the embedded model server',
  'mesh-metrics': 'the metrics of Envoy, for Prometheus',
  'pipeline-gateway': 'answers requests to pipelines',
  engine: 'runs pipelines that are fed through Kafka',
  'model-gateway': "answers records on models' topics in Kafka",
}

/** Adds one command to the tree. */
export type AddCommand = (program: Command, run: Run) => void

const CLIENTS: readonly AddCommand[] = [
  addApply,
  addGet,
  addDescribe,
  addDelete,
  addInfer,
  addStatus,
  addRollback,
  addExplain,
  addTop,
  addInspect,
  addReplay,
]

/** `more`: commands that know more than a client does (up/machine-commands.ts). */
export function createProgram(run: Run, more: readonly AddCommand[] = []): Command {
  const program = new Command('millrace')
    .description('Serves machine-learning models behind one Envoy.')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('(--help says more)')
    .addHelpText('after', () => `\n${processesText()}\n\n${exitCodesText()}`)
  for (const option of sessionOptions()) program.addOption(option)
  for (const add of [...CLIENTS, ...more]) add(program, run)
  addCompletion(program, run, PROCESSES)
  return program
}

const processesText = (): string =>
  [
    'Processes (each has its own --help):',
    ...Object.entries(PROCESSES).map(([name, meaning]) => `  ${name.padEnd(14)}${meaning}`),
  ].join('\n')

const exitCodesText = (): string =>
  [
    'Exit codes:',
    ...Object.entries(EXIT).map(([name, code]) => `  ${String(code)}  ${EXIT_MEANINGS[name as keyof typeof EXIT]}`),
  ].join('\n')
