import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { stringify } from 'yaml'
import { ServingError } from '../../kit/errors.ts'
import { parseDurationMs } from '../duration.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type Column, toTable } from '../output/table.ts'
import { httpGet } from '../client/http-get.ts'
import { appendTo } from './options.ts'
import { METRICS_PORT, type Run, type Session } from '../session.ts'
import {
  type ModelRate,
  ratesBetween,
  type Reading,
  REQUESTS,
  SECONDS,
  type Sort,
  sortRates,
  SORTS,
} from '../top/rates.ts'
import { lagsOf, withLags } from '../top/lags.ts'
import { type MetricSample, parseSamples } from '../top/samples.ts'

interface TopOptions {
  readonly sort: Sort
  readonly interval: string
  readonly once?: boolean
  readonly models: string
  readonly metrics: readonly string[]
}

/** `top`: the busiest models, by rate and latency, and how far behind their readers in Kafka are. */
export function addTop(program: Command, run: Run): void {
  program
    .command('top')
    .summary('show the busiest models, by rate and latency, and what waits in Kafka')
    .description(
      'Shows per model what was asked between two readings of the metrics beside Envoy: requests per second, mean time, ' +
        'share of failures; and, of models and pipelines that are fed through Kafka, the records that are not done (LAG), as ' +
        'the scheduler was told last. A terminal is refreshed until Ctrl-C; anything else gets one table.',
    )
    .addOption(new Option('--sort <column>', 'what comes first').choices(SORTS).default('rate'))
    .option('--interval <time>', 'time between readings', '2s')
    .option('--models <n>', 'how many models to show', '20')
    .option('--once', 'one table, on a terminal too')
    .option(
      '--metrics <url>',
      `where to read, repeatable: the metrics beside each Envoy, and of agents that carry requests (default: http://127.0.0.1:${String(METRICS_PORT)}/metrics)`,
      appendTo,
      [],
    )
    .action((options: TopOptions, command: Command) => run(command, (session) => top(session, options)))
}

async function top(session: Session, options: TopOptions): Promise<ExitCode> {
  const { terminal } = session
  const intervalMs = parseDurationMs(options.interval, '--interval')
  const standard = `${session.tls === undefined ? 'http' : 'https'}://127.0.0.1:${String(METRICS_PORT + session.portOffset)}/metrics`
  const urls = (options.metrics.length === 0 ? [standard] : options.metrics).map(parseMetricsUrl)
  const count = parseCount(options.models)
  const isWatched = terminal.isWatched && options.once !== true && (session.format ?? 'table') === 'table'
  let before = await readAll(urls, session)
  let isTold = false
  for (;;) {
    await sleep(intervalMs)
    const after = await readAll(urls, session)
    const lags = await readLags(session)
    if (lags === undefined && !isTold) terminal.note('no scheduler says how many records wait in Kafka')
    isTold = lags === undefined
    const all = withLags(ratesBetween(before, after), lags ?? new Map<string, number>())
    const rates = sortRates(all, options.sort).slice(0, count)
    if (isWatched) terminal.clear()
    show(session, rates)
    if (!isWatched) return EXIT.ok
    before = after
  }
}

const DEADLINE_MS = 10_000
const NAMES: ReadonlySet<string> = new Set([REQUESTS, SECONDS])

async function readAll(urls: readonly URL[], session: Session): Promise<Reading> {
  const samples = (await Promise.all(urls.map((url) => read(url, session)))).flat()
  return { atMs: session.now(), samples }
}

/** Undefined: nobody who knows answers; what Envoy counts is shown all the same. */
async function readLags({ admin }: Session): Promise<ReadonlyMap<string, number> | undefined> {
  try {
    return lagsOf(await admin.workers())
  } catch {
    return undefined
  }
}

async function read(url: URL, session: Session): Promise<readonly MetricSample[]> {
  try {
    const { status, text } = await httpGet(url, session, DEADLINE_MS)
    if (status !== 200) throw new Error(`status ${String(status)}: ${text.slice(0, 200)}`)
    return parseSamples(text, NAMES)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('ENVOY_UNAVAILABLE', `the metrics at ${url.host}: ${reason}`, { cause: error })
  }
}

function show({ terminal, format }: Session, rates: readonly ModelRate[]): void {
  if (format === 'json') terminal.out(JSON.stringify(rates, undefined, 2))
  else if (format === 'yaml') terminal.out(stringify(rates).trimEnd())
  else if (format === 'name') for (const { model } of rates) terminal.out(model)
  else if (rates.length === 0) terminal.note('no model has been asked yet')
  else for (const line of toTable(COLUMNS, rates)) terminal.out(line)
}

const COLUMNS: readonly Column<ModelRate>[] = [
  { title: 'MODEL', cell: ({ model }) => model },
  { title: 'REQ/S', cell: ({ requestsPerSecond }) => requestsPerSecond.toFixed(1) },
  { title: 'MEAN MS', cell: ({ meanMs }) => meanMs?.toFixed(2) ?? '' },
  { title: 'FAILED %', cell: ({ failedPercent }) => failedPercent.toFixed(1) },
  { title: 'TOTAL', cell: ({ total }) => String(total) },
  { title: 'LAG', cell: ({ lagRecords }) => (lagRecords === undefined ? '' : String(lagRecords)) },
]

function parseMetricsUrl(text: string): URL {
  if (URL.canParse(text) && /^https?:/.test(text)) return new URL(text)
  throw new ServingError(
    'CONFIG_INVALID',
    `--metrics ${text}: write it as a URL, for instance http://127.0.0.1:9003/metrics`,
  )
}

const MAX_MODELS = 100_000

function parseCount(text: string): number {
  if (/^[1-9]\d*$/.test(text) && Number(text) <= MAX_MODELS) return Number(text)
  throw new ServingError('CONFIG_INVALID', `--models ${text}: must be a whole number from 1 to ${String(MAX_MODELS)}`)
}
