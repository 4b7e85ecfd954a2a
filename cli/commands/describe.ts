import type { Command } from 'commander'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { descriptionOf } from '../output/description.ts'
import { toDocument } from '../output/format.ts'
import { formatReference, parseReference } from '../reference.ts'
import type { Run, Session } from '../session.ts'

/** `describe`: everything that is known of one resource. */
export function addDescribe(program: Command, run: Run): void {
  program
    .command('describe')
    .summary('show a resource with its versions, replicas, placement and events')
    .description('Shows a resource: its spec, versions and replicas, why it is not ready, and what happened to it.')
    .argument('<kind>', 'model, mlm, server, mls, pipeline, mlp, experiment, mlx; or kind/name')
    .argument('[name]')
    .action((kind: string, name: string | undefined, _options: object, command: Command) =>
      run(command, (session) => describeResource(session, kind, name)),
    )
}

async function describeResource(session: Session, kind: string, name: string | undefined): Promise<ExitCode> {
  const { terminal, format } = session
  const reference = parseReference(kind, name)
  const { resource, events } = await session.admin.get(reference.kind, reference.name)
  if (format === 'json' || format === 'yaml') terminal.out(toDocument(format, [{ ...resource, events }], true))
  else if (format === 'name') terminal.out(formatReference(reference))
  else for (const line of descriptionOf(resource, events, terminal, session.now())) terminal.out(line)
  return EXIT.ok
}
