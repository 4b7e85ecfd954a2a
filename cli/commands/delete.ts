import type { Command } from 'commander'
import { ServingError, toServingError } from '../../kit/errors.ts'
import { parseDurationMs } from '../duration.ts'
import { EXIT, type ExitCode, exitCodeOfAll } from '../exit-codes.ts'
import { readManifests } from '../manifest-files.ts'
import { formatReference, inDeletionOrder, parseReference, type Reference } from '../reference.ts'
import type { Run, Session } from '../session.ts'
import { reportErrors } from '../terminal.ts'
import { waitFor } from '../wait.ts'
import { appendTo } from './options.ts'

interface DeleteOptions {
  readonly file: readonly string[]
  readonly force?: boolean
  readonly wait?: boolean
  readonly timeout: string
}

/** `delete`: by name, or whatever the manifests name. */
export function addDelete(program: Command, run: Run): void {
  program
    .command('delete')
    .summary('delete resources, by name or by manifest')
    .description('Deletes one resource by name, or every resource that the manifests name.')
    .argument('[kind]', 'model, mlm, server, mls, pipeline, mlp, experiment, mlx; or kind/name')
    .argument('[name]')
    .option('-f, --file <path>', 'a file, a folder, or - for standard input; repeatable', appendTo, [])
    .option('--force', 'allow it to remove more than 20 % of all routes at once')
    .option('--wait', 'return when they are gone')
    .option('--timeout <time>', 'how long --wait waits', '60s')
    .action((kind: string | undefined, name: string | undefined, options: DeleteOptions, command: Command) =>
      run(command, (session) => deleteAll(session, kind, name, options)),
    )
}

async function deleteAll(
  session: Session,
  kind: string | undefined,
  name: string | undefined,
  options: DeleteOptions,
): Promise<ExitCode> {
  const timeoutMs = parseDurationMs(options.timeout, '--timeout')
  const { targets, failures } = await targetsOf(session, kind, name, options.file)
  const errors = [...failures]
  for (const target of targets) {
    try {
      await deleteOne(session, target, options, timeoutMs)
    } catch (error) {
      errors.push(toServingError(error))
    }
  }
  reportErrors(session.terminal, errors)
  return errors.length === 0 ? EXIT.ok : exitCodeOfAll(errors)
}

async function targetsOf(
  session: Session,
  kind: string | undefined,
  name: string | undefined,
  files: readonly string[],
): Promise<{ targets: readonly Reference[]; failures: readonly ServingError[] }> {
  if ((kind === undefined) === (files.length === 0))
    throw new ServingError('CONFIG_INVALID', 'name either a resource, as in model/iris, or manifests with -f')
  if (kind !== undefined) return { targets: [parseReference(kind, name)], failures: [] }
  const { manifests, failures } = await readManifests(files, session.terminal)
  const targets = manifests.map(({ resource }) => ({ kind: resource.kind, name: resource.metadata.name }))
  return { targets: inDeletionOrder(targets), failures }
}

async function deleteOne(session: Session, target: Reference, options: DeleteOptions, timeoutMs: number) {
  const { admin, terminal } = session
  await admin.delete(target.kind, target.name, { force: options.force === true })
  if (options.wait !== true) {
    terminal.out(`${formatReference(target)} ${session.format === 'name' ? '' : 'is being deleted'}`.trimEnd())
    return
  }
  await waitFor(admin, target, 'deleted', timeoutMs)
  terminal.out(`${formatReference(target)} ${session.format === 'name' ? '' : 'deleted'}`.trimEnd())
}
