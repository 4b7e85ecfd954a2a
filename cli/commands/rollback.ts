import type { Command } from 'commander'
import { ServingError } from '../../kit/errors.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { toDocument } from '../output/format.ts'
import { formatReference, parseReference } from '../reference.ts'
import type { Run, Session } from '../session.ts'

/** `rollback`: makes a new version out of an earlier one's spec. */
export function addRollback(program: Command, run: Run): void {
  program
    .command('rollback')
    .summary('return a model or pipeline to an earlier version')
    .description('Makes a new version of a model or pipeline out of an earlier version; `describe` lists them.')
    .argument('<kind>', 'model, pipeline; or kind/name')
    .argument('[name]')
    .option('--to-version <n>', 'the version to return to (default: the one before the latest)')
    .action((kind: string, name: string | undefined, options: { toVersion?: string }, command: Command) =>
      run(command, (session) => rollback(session, kind, name, options.toVersion)),
    )
}

async function rollback(
  session: Session,
  kind: string,
  name: string | undefined,
  toVersion: string | undefined,
): Promise<ExitCode> {
  const { terminal, format } = session
  const target = parseReference(kind, name)
  if (target.kind !== 'Model' && target.kind !== 'Pipeline')
    throw new ServingError(
      'CONFIG_INVALID',
      `${formatReference(target)}: only models and pipelines have versions to roll back to`,
    )
  const result = await session.admin.rollback(target.name, parseVersion(toVersion), target.kind)
  if (format === 'json' || format === 'yaml') terminal.out(toDocument(format, [result], true))
  else if (format === 'name') terminal.out(formatReference(target))
  else
    terminal.out(
      `${formatReference(target)} rolled back from version ${String(result.fromVersion)} to ${String(result.restoredVersion)}, as version ${String(result.newVersion)}`,
    )
  return EXIT.ok
}

function parseVersion(text: string | undefined): number {
  if (text === undefined) return 0
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new ServingError('CONFIG_INVALID', `--to-version ${text}: must be a version's number`)
}
