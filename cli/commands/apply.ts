import type { Command } from 'commander'
import type { Manifest } from '../../api/resources/manifest.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Applied } from '../client/admin-client.ts'
import { EXIT, type ExitCode, exitCodeOfAll } from '../exit-codes.ts'
import { readManifests } from '../manifest-files.ts'
import { toDocument } from '../output/format.ts'
import { formatReference } from '../reference.ts'
import type { Run, Session } from '../session.ts'
import { reportErrors } from '../terminal.ts'
import { appendTo } from './options.ts'

/** `apply`: creates or updates every resource of the files, and says what became of each. */
export function addApply(program: Command, run: Run): void {
  program
    .command('apply')
    .summary('create or update resources from manifests')
    .description(
      'Creates or updates every resource of the manifests. A failure does not stop the others; all are listed.',
    )
    .requiredOption('-f, --file <path>', 'a file, a folder, or - for standard input; repeatable', appendTo, [])
    .option('--dry-run', 'let the scheduler check everything and change nothing')
    .action((options: { file: string[]; dryRun?: boolean }, command: Command) =>
      run(command, (session) => apply(session, options.file, options.dryRun === true)),
    )
}

async function apply(session: Session, paths: readonly string[], dryRun: boolean): Promise<ExitCode> {
  const { terminal } = session
  const { manifests, failures } = await readManifests(paths, terminal)
  const errors = [...failures]
  const applied: Applied[] = []
  for (const manifest of manifests) {
    try {
      const result = await applyOne(session, manifest, dryRun)
      applied.push(result)
    } catch (error) {
      errors.push(located(toServingError(error), manifest))
    }
  }
  printMachine(session, applied)
  reportErrors(terminal, errors)
  if (manifests.length === 0 && errors.length === 0)
    throw new ServingError('MANIFEST_INVALID', `${paths.join(', ')}: no resource in it`)
  return errors.length === 0 ? EXIT.ok : exitCodeOfAll(errors)
}

async function applyOne(session: Session, { resource }: Manifest, dryRun: boolean): Promise<Applied> {
  const { terminal, format } = session
  const result = await session.admin.apply(resource, { dryRun })
  const name = formatReference({ kind: resource.kind, name: resource.metadata.name })
  if (format === 'name') terminal.out(name)
  else if (format === undefined || format === 'table')
    terminal.out(`${name} ${paintOutcome(session, result)}${dryRun ? ' (dry run)' : ''}`)
  for (const warning of result.warnings) terminal.note(`${terminal.paint('yellow', 'warning:')} ${name} ${warning}`)
  return result
}

function paintOutcome({ terminal }: Session, { outcome }: Applied): string {
  return terminal.paint(outcome === 'unchanged' ? 'dim' : 'green', outcome)
}

function printMachine({ terminal, format }: Session, applied: readonly Applied[]): void {
  if (format === 'json') terminal.out(JSON.stringify(applied, undefined, 2))
  if (format === 'yaml') terminal.out(toDocument('yaml', applied, false))
}

/** The server's message with the manifest it is about. */
function located(error: ServingError, { resource, location }: Manifest): ServingError {
  const subject = `${location}: ${resource.kind} ${resource.metadata.name}`
  return new ServingError(error.code, `${subject}: ${error.message}`, { cause: error })
}
