import type { Command } from 'commander'
import { stringify } from 'yaml'
import {
  checkedSpace,
  PIPELINE_HEADER,
  REQUEST_ID_HEADER,
  type TopicEnd,
  topicName,
} from '../../dataflow/journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../../dataflow/kafka/client.ts'
import { loadKafkaConnection } from '../../dataflow/kafka/connection.ts'
import { ServingError } from '../../kit/errors.ts'
import { parseDurationMs } from '../duration.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type ShownRecord, toShownRecord } from '../inspect/decode.ts'
import { findRecords } from '../inspect/find-records.ts'
import { type InspectTarget, parseInspectTarget } from '../inspect/target.ts'
import { inspectionColumns } from '../output/inspection.ts'
import { toTable } from '../output/table.ts'
import { kafkaCliOptions } from './options.ts'
import { KAFKA_PORT, type Run, type Session } from '../session.ts'

interface InspectOptions {
  readonly requestId?: string
  readonly offset: string
  readonly timeout: string
  readonly kafkaBootstrapServers?: string
  readonly kafkaConfig?: string
  readonly topicPrefix: string
  readonly namespace: string
}

/** `inspect`: what went over the edges of a pipeline, out of Kafka. */
export function addInspect(program: Command, run: Run): void {
  const command = program
    .command('inspect')
    .summary("show the data of a pipeline's steps, out of Kafka")
    .description(
      'Shows what went into a pipeline or one of its steps and what came out, as Kafka has it: the last record of each ' +
        'end, more with --offset, or those of one request. The values of tensors are shown by their datatypes.',
    )
    .argument('<what>', '<pipeline>[.<step>][.inputs|outputs][.<tensor>]; without a side, both')
    .option('--request-id <id>', 'only records of this request, wherever they are in the topics')
    .option('--offset <n>', 'how many records, counted from the end of each topic', '1')
    .option('--timeout <time>', 'how long to look', '30s')
  for (const option of kafkaCliOptions()) command.addOption(option)
  command.action((what: string, options: InspectOptions, self: Command) =>
    run(self, (session) => inspect(session, what, options)),
  )
}

const MAX_RECORDS = 100_000

async function inspect(session: Session, what: string, options: InspectOptions): Promise<ExitCode> {
  const target = parseInspectTarget(what)
  const space = checkedSpace({ prefix: options.topicPrefix, namespace: options.namespace })
  const count = parseOffset(options)
  const timeoutMs = parseDurationMs(options.timeout, '--timeout')
  const { kafkaBootstrapServers: given = '', kafkaConfig: configFile = '' } = options
  const bootstrapServers = given === '' && configFile === '' ? local(session) : given
  const connection = loadKafkaConnection({ bootstrapServers, configFile })
  const { connectKafka } = await import('../../dataflow/kafka/connect.ts') // only this command needs the library
  const reader = connectKafka(connection, 'millrace-inspect').reader()
  try {
    const found = target.ends.map(async (end) => {
      const records = await readEnd(reader, topicName(space, end), target, count, options.requestId)
      return records.map((record) => toShownRecord(record, end, target.tensor))
    })
    const shown = (await within(timeoutMs, connection.bootstrapServers, Promise.all(found))).flat()
    if (shown.length === 0) throw nothingFound(target, options.requestId)
    show(session, target.ends, shown)
    return EXIT.ok
  } finally {
    await reader.close()
  }
}

const local = ({ portOffset }: Session): string => `127.0.0.1:${String(KAFKA_PORT + portOffset)}`

function parseOffset({ offset, requestId }: InspectOptions): number {
  if (requestId !== undefined) return MAX_RECORDS
  if (/^[1-9]\d*$/.test(offset) && Number(offset) <= MAX_RECORDS) return Number(offset)
  throw new ServingError(
    'CONFIG_INVALID',
    `--offset ${offset}: must be a whole number from 1 to ${String(MAX_RECORDS)}`,
  )
}

/** A step's topics carry the records of every pipeline that has it. */
function readEnd(
  reader: KafkaReader,
  topic: string,
  { pipeline }: InspectTarget,
  count: number,
  requestId: string | undefined,
): Promise<readonly IncomingRecord[]> {
  return findRecords(reader, topic, count, ({ headers, key }) => {
    const header = (name: string) => headers.find(([known]) => known === name)?.[1]
    if (header(PIPELINE_HEADER) !== pipeline) return false
    return requestId === undefined || header(REQUEST_ID_HEADER) === requestId || key === requestId
  })
}

async function within<T>(timeoutMs: number, servers: readonly string[], work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `Kafka at ${servers.join(', ')} did not give everything within ${String(timeoutMs)} ms`
      reject(new ServingError('DEADLINE_EXCEEDED', `${text}; raise --timeout`))
    }, timeoutMs)
  })
  work.catch(() => undefined) // when it fails after the deadline
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
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
