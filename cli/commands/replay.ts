import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { PIPELINE_HEADER, REQUEST_ID_HEADER, topicName } from '../../dataflow/journal/topics.ts'
import type {
  IncomingRecord,
  KafkaProducer,
  KafkaReader,
  OutgoingRecord,
  Position,
} from '../../dataflow/kafka/client.ts'
import { ServingError } from '../../kit/errors.ts'
import { parseDurationMs } from '../duration.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type KafkaCliOptions, openKafka, withinTime } from '../kafka/open.ts'
import { readBetween } from '../kafka/read-on.ts'
import { type Column, toTable } from '../output/table.ts'
import { headerIn, isWanted, toAgain, type Wanted } from '../replay/again.ts'
import { parseTimeMs } from '../replay/time.ts'
import type { Run, Session } from '../session.ts'
import { untilStopped } from '../stop-signal.ts'
import { kafkaCliOptions } from './options.ts'

interface ReplayOptions extends KafkaCliOptions {
  readonly from: string
  readonly to?: string
  readonly requestId?: string
  readonly dryRun?: boolean
  readonly timeout: string
}

/** `replay`: recorded inputs of a pipeline once more. */
export function addReplay(program: Command, run: Run): void {
  const command = program
    .command('replay')
    .summary("feed a pipeline's recorded inputs again")
    .description(
      'Puts inputs that a pipeline got between two times on its input topic again, each under a new request id, with the ' +
        'header x-millrace-replay-of naming the key of the first. An engine runs them with the version that serves now, ' +
        'and the results are in Kafka. What was itself fed again is left out, so a replay may be repeated.',
    )
    .argument('<pipeline>', 'whose inputs')
    .requiredOption('--from <time>', 'from this time on: 2026-11-22T20:00:00Z, or how long ago, as 10m')
    .option('--to <time>', 'what was written before this time (default: now)')
    .option('--request-id <id>', 'only this request')
    .option('--dry-run', 'only say what would be fed again')
    .option('--timeout <time>', 'how long to wait for each answer of Kafka', '30s')
  for (const option of kafkaCliOptions()) command.addOption(option)
  command.action((pipeline: string, options: ReplayOptions, self: Command) =>
    run(self, (session) => replay(session, pipeline, options)),
  )
}

/** One of them, as it is told. */
interface Fed {
  readonly key: string
  readonly requestId: string
  readonly time: string
  /** Absent in a dry run. */
  readonly newRequestId?: string
}

interface Summary {
  readonly pipeline: string
  readonly from: string
  readonly to: string
  readonly dryRun: boolean
  readonly records: number
  /** The first ones. */
  readonly requests: readonly Fed[]
}

const MAX_LISTED = 1_000
const BATCH = 500
const PROGRESS_MS = 2_000
/** The times of records are those of their producers: within a topic they may be out of order by so much. */
const DISORDER_MS = 60_000

async function replay(session: Session, pipeline: string, options: ReplayOptions): Promise<ExitCode> {
  const startedAtMs = session.now()
  const fromMs = parseTimeMs(options.from, '--from', startedAtMs)
  const toMs = options.to === undefined ? startedAtMs : parseTimeMs(options.to, '--to', startedAtMs)
  if (fromMs >= toMs) throw new ServingError('CONFIG_INVALID', `--from ${options.from}: must be before --to`)
  const timeoutMs = parseDurationMs(options.timeout, '--timeout')
  const { client, servers, space } = await openKafka(session, options, 'millrace-replay')
  const topic = topicName(space, { kind: 'pipeline', name: pipeline, side: 'inputs' })
  const reader = client.reader()
  const producer = options.dryRun === true ? undefined : client.producer()
  const stopped = untilStopped()
  const within = <T>(work: Promise<T>): Promise<T> => withinTime(timeoutMs, servers, work)
  const wanted = { fromMs, toMs, requestId: options.requestId }
  const requests: Fed[] = []
  let records = 0
  let toldAtMs = startedAtMs
  try {
    for await (const some of readWanted({ reader, topic, wanted, pipeline, within })) {
      for (let at = 0; at < some.length && !stopped.signal.aborted; at += BATCH) {
        const batch = some.slice(at, at + BATCH).map((record) => ({ record, newId: randomUUID() }))
        const again = batch.map(({ record, newId }) => toAgain(record, pipeline, newId))
        if (producer !== undefined) await feed(producer, again, timeoutMs, { records, first: batch[0]?.record })
        records += batch.length
        const listed = batch.slice(0, MAX_LISTED - requests.length)
        requests.push(...listed.map(({ record, newId }) => toFed(record, producer && newId)))
      }
      if (stopped.signal.aborted) break
      if (session.now() - toldAtMs < PROGRESS_MS) continue
      toldAtMs = session.now()
      session.terminal.note(`${String(records)} so far`)
    }
    if (stopped.signal.aborted) session.terminal.note('stopped before the end')
    else if (records === 0) throw nothingFound(pipeline, options)
    const [since, until] = [fromMs, toMs].map((ms) => new Date(ms).toISOString()) as [string, string]
    show(session, { pipeline, from: since, to: until, dryRun: producer === undefined, records, requests })
    return stopped.signal.aborted ? EXIT.failed : EXIT.ok
  } finally {
    stopped.dispose()
    await Promise.all([reader.close(), producer?.close()])
  }
}

interface Reading {
  readonly reader: KafkaReader
  readonly topic: string
  readonly pipeline: string
  readonly wanted: Wanted
  readonly within: <T>(work: Promise<T>) => Promise<T>
}

/** As Kafka gives them, partition by partition; nothing that is written meanwhile. */
async function* readWanted({
  reader,
  topic,
  pipeline,
  wanted,
  within,
}: Reading): AsyncGenerator<readonly IncomingRecord[]> {
  const at = (ms: number) => reader.positions([topic], ms)
  const [from, to, ends] = await within(
    Promise.all([at(wanted.fromMs - DISORDER_MS), at(wanted.toMs + DISORDER_MS), reader.positions([topic], 'latest')]),
  )
  for (const begin of from) {
    const isHere = ({ partition }: Position): boolean => partition === begin.partition
    const [until, end] = [to.find(isHere), ends.find(isHere)]
    if (until === undefined || end === undefined) continue
    const reading = readBetween(reader, [begin], [until.offset < end.offset ? until : end])
    for (let read = await within(reading.next()); read.done !== true; read = await within(reading.next()))
      yield read.value.filter((record) => isOf(record, pipeline) && isWanted(record, wanted))
  }
}

/** A topic of inputs may hold records of whoever made it: without the header it is this pipeline's. */
const isOf = (record: IncomingRecord, pipeline: string): boolean =>
  (headerIn(record, PIPELINE_HEADER) ?? pipeline) === pipeline

const toFed = (record: IncomingRecord, newRequestId: string | undefined): Fed => ({
  key: record.key,
  requestId: headerIn(record, REQUEST_ID_HEADER) ?? '',
  time: new Date(record.timestampMs).toISOString(),
  ...(newRequestId === undefined ? {} : { newRequestId }),
})

/** @throws ServingError saying from where to go on */
async function feed(
  producer: KafkaProducer,
  again: readonly OutgoingRecord[],
  timeoutMs: number,
  so: { readonly records: number; readonly first: IncomingRecord | undefined },
): Promise<void> {
  const results = await producer.send(again, { compression: 'lz4', timeoutMs })
  const failed = results.find(({ kind }) => kind !== 'acknowledged')
  if (failed === undefined) return
  const reason = 'reason' in failed ? failed.reason : failed.kind
  const at =
    so.first === undefined
      ? ''
      : ` of partition ${String(so.first.partition)}, ${new Date(so.first.timestampMs).toISOString()}`
  const fed = results.filter(({ kind }) => kind === 'acknowledged').length + so.records
  throw new ServingError(
    'KAFKA_UNAVAILABLE',
    `${String(fed)} inputs were fed again, then Kafka refused (${reason}): go on with --from at about the time${at}`,
  )
}

function nothingFound(pipeline: string, { from, to = 'now', requestId }: ReplayOptions): ServingError {
  const which = requestId === undefined ? '' : ` of request ${requestId}`
  return new ServingError('NOT_FOUND', `pipeline ${pipeline} has no input${which} from ${from} to ${to}`)
}

const COLUMNS: readonly Column<Fed>[] = [
  { title: 'TIME', cell: ({ time }) => time },
  { title: 'REQUEST', cell: ({ requestId, key }) => requestId || key },
  { title: 'KEY', cell: ({ key }) => key },
]

function show({ terminal, format }: Session, summary: Summary): void {
  const { pipeline, dryRun, records, requests } = summary
  if (format === 'json') terminal.out(JSON.stringify(summary, undefined, 2))
  else if (format === 'yaml') terminal.out(stringify(summary).trimEnd())
  else if (format === 'name') for (const { newRequestId, key } of requests) terminal.out(newRequestId ?? key)
  else if (dryRun) for (const line of toTable(COLUMNS, requests)) terminal.out(line)
  else terminal.out(`${String(records)} inputs of ${pipeline} were fed again`)
  if (records > requests.length && format !== undefined)
    terminal.note(`the first ${String(requests.length)} are listed`)
}
