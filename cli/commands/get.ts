import type { Command } from 'commander'
import type {
  StoredExperiment,
  StoredModel,
  StoredPipeline,
  StoredResource,
  StoredServer,
} from '../../api/resources/status.ts'
import type { Kind } from '../../api/resources/resource.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { experimentColumns } from '../output/experiment-table.ts'
import { toDocument } from '../output/format.ts'
import { modelColumns } from '../output/model-table.ts'
import { pipelineColumns } from '../output/pipeline-table.ts'
import { serverColumns } from '../output/server-table.ts'
import { toTable } from '../output/table.ts'
import { selectWorkers, UNIT_COLUMNS, workerColumns } from '../output/worker-table.ts'
import { formatReference, parseKind, parseReference, parseWorkers } from '../reference.ts'
import type { Run, Session } from '../session.ts'

/** `get`: one resource, or all of a kind. */
export function addGet(program: Command, run: Run): void {
  program
    .command('get')
    .summary('list resources or workers, or show one')
    .description(
      'Lists the resources of a kind with their states, or shows one of them. Workers are the processes that run them: ' +
        'pipeline gateways, engines and model gateways, with what each owns and how many records of it are not done.',
    )
    .argument('<kind>', 'model(s), mlm, server(s), mls, pipeline(s), mlp, experiment(s), mlx, worker(s); or kind/name')
    .argument('[name]', 'only this one')
    .action((kind: string, name: string | undefined, _options: object, command: Command) =>
      run(command, (session) => get(session, kind, name)),
    )
}

async function get(session: Session, kindText: string, name: string | undefined): Promise<ExitCode> {
  const asked = parseWorkers(kindText, name)
  if (asked !== undefined) return getWorkers(session, asked.name)
  if (name === undefined && !kindText.includes('/')) {
    const kind = parseKind(kindText)
    print(session, kind, await session.admin.list(kind), false)
    return EXIT.ok
  }
  const reference = parseReference(kindText, name)
  const { resource } = await session.admin.get(reference.kind, reference.name)
  print(session, reference.kind, [resource], true)
  return EXIT.ok
}

function print({ terminal, format, now }: Session, kind: Kind, resources: readonly StoredResource[], single: boolean) {
  switch (format) {
    case 'json':
    case 'yaml':
      if (single || format === 'json' || resources.length > 0) terminal.out(toDocument(format, resources, single))
      return
    case 'name':
      for (const { metadata } of resources) terminal.out(formatReference({ kind, name: metadata.name }))
      return
    case 'table':
    case undefined:
      if (resources.length === 0) terminal.note(`no ${kind.toLowerCase()}s`)
      else for (const line of tableOf(kind, resources, terminal, now())) terminal.out(line)
  }
}

async function getWorkers(session: Session, name: string | undefined): Promise<ExitCode> {
  const { terminal, format, now } = session
  const workers = selectWorkers(await session.admin.workers(), name)
  const isSingle = name !== undefined && workers.length === 1
  if (format === 'json' || format === 'yaml') terminal.out(toDocument(format, workers, isSingle))
  else if (format === 'name') for (const worker of workers) terminal.out(`worker/${worker.name}`)
  else if (workers.length === 0) terminal.note('no workers')
  else {
    for (const line of toTable(workerColumns(now()), workers)) terminal.out(line)
    const units = name === undefined ? [] : workers.flatMap((worker) => worker.units)
    if (units.length > 0) for (const line of ['', ...toTable(UNIT_COLUMNS, units)]) terminal.out(line)
  }
  return EXIT.ok
}

function tableOf(
  kind: Kind,
  resources: readonly StoredResource[],
  terminal: Session['terminal'],
  nowMs: number,
): readonly string[] {
  switch (kind) {
    case 'Model':
      return toTable(modelColumns(terminal, nowMs), resources as readonly StoredModel[])
    case 'Server':
      return toTable(serverColumns(terminal, nowMs), resources as readonly StoredServer[])
    case 'Pipeline':
      return toTable(pipelineColumns(terminal, nowMs), resources as readonly StoredPipeline[])
    case 'Experiment':
      return toTable(experimentColumns(terminal, nowMs), resources as readonly StoredExperiment[])
  }
}
