import type { Command } from 'commander'
import { stringify } from 'yaml'
import { PIPELINE_HEADER, REQUEST_ID_HEADER, type TopicEnd, topicName } from '../../dataflow/journal/topics.ts'
import type { IncomingRecord } from '../../dataflow/kafka/client.ts'
import { ServingError } from '../../kit/errors.ts'
import { parseDurationMs } from '../duration.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type ShownRecord, toShownRecord } from '../inspect/decode.ts'
import { findRecords } from '../inspect/find-records.ts'
import { type InspectTarget, parseInspectTarget } from '../inspect/target.ts'
import { inspectionColumns } from '../output/inspection.ts'
import { toTable } from '../output/table.ts'
import { type KafkaCliOptions, openKafka, withinTime } from '../kafka/open.ts'
import { readOn } from '../kafka/read-on.ts'
import type { Run, Session } from '../session.ts'
import { untilStopped } from '../stop-signal.ts'
import { kafkaCliOptions } from './options.ts'

interface InspectOptions extends KafkaCliOptions {
  readonly requestId?: string
  readonly offset: string
  readonly timeout?: string
  readonly follow?: boolean
}

/** `inspect`: what went over the edges of a pipeline, out of Kafka. */
export function addInspect(program: Command, run: Run): void {
  const command = program
    .command('inspect')
    .summary("show the data of a pipeline's steps, out of Kafka")
    .description(
      'Shows what went into a pipeline or one of its steps and what came out, as Kafka has it: the last record of each ' +
        'end, more with --offset, or those of one request; with --follow also those that come. The values of tensors are ' +
        'shown by their datatypes.',
    )
    .argument('<what>', '<pipeline>[.<step>][.inputs|outputs][.<tensor>]; without a side, both')
    .option('--request-id <id>', 'only records of this request, wherever they are in the topics')
    .option('--offset <n>', 'how many records, counted from the end of each topic', '1')
    .option('--timeout <time>', `how long to look (default: ${LOOK}; with --follow: until it is stopped)`)
    .option('--follow', 'go on with the records that come, until Ctrl-C; JSON is then one record a line')
  for (const option of kafkaCliOptions()) command.addOption(option)
  command.action((what: string, options: InspectOptions, self: Command) =>
    run(self, (session) => inspect(session, what, options)),
  )
}

const MAX_RECORDS = 100_000
const LOOK = '30s'

async function inspect(session: Session, what: string, options: InspectOptions): Promise<ExitCode> {
  const target = parseInspectTarget(what)
  const count = parseOffset(options)
  const { timeout, follow = false } = options
  const timeoutMs = parseDurationMs(timeout ?? LOOK, '--timeout')
  const { client, servers, space } = await openKafka(session, options, 'millrace-inspect')
  const reader = client.reader()
  const ends = new Map(target.ends.map((end) => [topicName(space, end), end]))
  const matches = matching(target, options.requestId)
  const toShown = (record: IncomingRecord): readonly ShownRecord[] => {
    const end = ends.get(record.topic)
    return end === undefined ? [] : [toShownRecord(record, end, target.tensor)]
  }
  try {
    const now = await withinTime(timeoutMs, servers, reader.positions([...ends.keys()], 'latest'))
    const found = [...ends.keys()].map((topic) =>
      findRecords(
        reader,
        now.filter((position) => position.topic === topic),
        count,
        matches,
      ),
    )
    const shown = (await withinTime(timeoutMs, servers, Promise.all(found))).flat().flatMap(toShown)
    if (!follow) {
      if (shown.length === 0) throw nothingFound(target, options.requestId)
      show(session, target.ends, shown)
      return EXIT.ok
    }
    const showNext = createFollowedOutput(session, target.ends.length > 1)
    const stopped = untilStopped() // whoever has seen the first line may stop it
    showNext(shown)
    const over =
      timeout === undefined ? stopped.signal : AbortSignal.any([stopped.signal, AbortSignal.timeout(timeoutMs)])
    const onAway = (reason: string): void => {
      session.terminal.note(`Kafka is away, trying again: ${reason}`)
    }
    try {
      for await (const records of readOn(reader, now, over, onAway)) showNext(records.filter(matches).flatMap(toShown))
    } finally {
      stopped.dispose()
    }
    return EXIT.ok
  } finally {
    await reader.close()
  }
}

function parseOffset({ offset, requestId }: InspectOptions): number {
  if (requestId !== undefined) return MAX_RECORDS
  if (/^[1-9]\d*$/.test(offset) && Number(offset) <= MAX_RECORDS) return Number(offset)
  throw new ServingError(
    'CONFIG_INVALID',
    `--offset ${offset}: must be a whole number from 1 to ${String(MAX_RECORDS)}`,
  )
}

/** A step's topics carry the records of every pipeline that has it. */
function matching({ pipeline }: InspectTarget, requestId: string | undefined): (record: IncomingRecord) => boolean {
  return ({ headers, key }) => {
    const header = (name: string) => headers.find(([known]) => known === name)?.[1]
    if (header(PIPELINE_HEADER) !== pipeline) return false
    return requestId === undefined || header(REQUEST_ID_HEADER) === requestId || key === requestId
  }
}

function nothingFound({ pipeline, ends }: InspectTarget, requestId: string | undefined): ServingError {
  const where = ends.map((end) => (end.kind === 'errors' ? '' : `${end.name}.${end.side}`)).join(' and ')
  const which = requestId === undefined ? `of pipeline ${pipeline}` : `of request ${requestId} of pipeline ${pipeline}`
  return new ServingError('NOT_FOUND', `there is no record ${which} in ${where}`)
}

function show({ terminal, format }: Session, ends: readonly TopicEnd[], records: readonly ShownRecord[]): void {
  if (format === 'json') terminal.out(JSON.stringify(records, undefined, 2))
  else if (format === 'yaml') terminal.out(stringify(records).trimEnd())
  else if (format === 'name') for (const { key } of records) terminal.out(key)
  else for (const line of toTable(inspectionColumns(ends.length > 1), records)) terminal.out(line)
}

/** As they come: one line each, with a table's titles once; JSON is one record a line. */
function createFollowedOutput(
  { terminal, format }: Session,
  severalEnds: boolean,
): (records: readonly ShownRecord[]) => void {
  let isFirst = true
  return (records) => {
    if (format === 'json') for (const record of records) terminal.out(JSON.stringify(record))
    else if (format === 'yaml') for (const record of records) terminal.out(`---\n${stringify(record).trimEnd()}`)
    else if (format === 'name') for (const { key } of records) terminal.out(key)
    else for (const line of toTable(inspectionColumns(severalEnds), records).slice(isFirst ? 0 : 1)) terminal.out(line)
    isFirst = false
  }
}
