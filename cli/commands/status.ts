import { type Command, Option } from 'commander'
import type { StoredResource } from '../../api/resources/status.ts'
import { parseDurationMs } from '../duration.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { toDocument } from '../output/format.ts'
import { modelsText } from '../output/pipeline-table.ts'
import { stateColour } from '../output/state.ts'
import { formatReference, parseReference, type Reference } from '../reference.ts'
import type { Run, Session } from '../session.ts'
import { type Condition, CONDITIONS, waitFor } from '../wait.ts'

interface StatusOptions {
  readonly wait?: Condition
  readonly timeout: string
}

/** `status`: one line, now or when it has become what is waited for. */
export function addStatus(program: Command, run: Run): void {
  program
    .command('status')
    .summary('show the state of a resource, or wait for it')
    .description(
      'Prints the state of a resource in one line; with --wait, when it has become that, or cannot any more.',
    )
    .argument('<resource>', 'kind/name; a name alone is a model')
    .addOption(new Option('-w, --wait <condition>', 'return when the resource is this').choices(CONDITIONS))
    .option('--timeout <time>', 'how long --wait waits', '60s')
    .action((resource: string, options: StatusOptions, command: Command) =>
      run(command, (session) => status(session, resource, options)),
    )
}

async function status(session: Session, resource: string, options: StatusOptions): Promise<ExitCode> {
  const timeoutMs = parseDurationMs(options.timeout, '--timeout')
  const target = resource.includes('/') ? parseReference(resource) : parseReference('model', resource)
  if (options.wait === undefined) return show(session, target)
  await waitFor(session.admin, target, options.wait, timeoutMs)
  if (options.wait !== 'deleted') return show(session, target)
  session.terminal.out(`${formatReference(target)} deleted`)
  return EXIT.ok
}

async function show({ admin, terminal, format }: Session, target: Reference): Promise<ExitCode> {
  const { resource } = await admin.get(target.kind, target.name)
  if (format === 'json' || format === 'yaml') terminal.out(toDocument(format, [resource], true))
  else if (format === 'name') terminal.out(formatReference(target))
  else terminal.out(`${formatReference(target)} ${stateLine(resource, terminal)}`)
  return EXIT.ok
}

function stateLine(resource: StoredResource, terminal: Session['terminal']): string {
  const { status: known } = resource
  const state = terminal.paint(stateColour(known?.state), known?.state ?? 'Unknown')
  return [[state, ...factsOf(resource)].join(', '), ...(known?.reason ? [known.reason] : [])].join(': ')
}

function factsOf(resource: StoredResource): readonly string[] {
  switch (resource.kind) {
    case 'Model':
    case 'Server': {
      const { status, spec } = resource
      const wanted = status?.replicas ?? spec.replicas ?? 1
      return [`${String(status?.availableReplicas ?? 0)} of ${String(wanted)} replicas available`]
    }
    case 'Pipeline':
      return [`${modelsText(resource)} models available`]
    case 'Experiment':
      return []
  }
}
