import { readFile } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import { stringify } from 'yaml'
import { decodeElements, type Element } from '../../api/oip/elements.ts'
import { parseJson } from '../../api/oip/json.ts'
import { parseRestResponse } from '../../api/oip/rest-response.ts'
import type { Tensor } from '../../api/oip/tensor.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import { infer, type InferAnswer, type InferCall, type Protocol, PROTOCOLS } from '../client/infer-client.ts'
import { parseDurationMs } from '../duration.ts'
import { EXIT, type ExitCode, exitCodeOfAll } from '../exit-codes.ts'
import { parseHeaders } from '../headers.ts'
import { toTarget } from '../reference.ts'
import { createTally, tallyLines, tallyRecord } from '../output/tally.ts'
import { type Column, toTable } from '../output/table.ts'
import type { Run, Session } from '../session.ts'
import type { Terminal } from '../terminal.ts'
import { appendTo } from './options.ts'

interface InferOptions {
  readonly data?: string
  readonly file?: string
  readonly protocol: Protocol
  readonly header: readonly string[]
  readonly timeout: string
  readonly iterations: string
  readonly showHeaders?: boolean
}

/** `infer`: one request through the ingress, or the same many times. */
export function addInfer(program: Command, run: Run): void {
  program
    .command('infer')
    .summary('send an inference request, once or many times')
    .description(
      'Sends an inference request through the ingress and prints the answer. With --iterations it is sent that often, ' +
        'one after the other, and what is printed is how often each model answered.',
    )
    .argument('<model>', 'a model; or model/name, pipeline/name, experiment/name')
    .option('-d, --data <json>', "the request, in OIP's REST form; - reads standard input")
    .option('-f, --file <path>', 'a file with the request')
    .addOption(new Option('--protocol <protocol>', 'how to send it').choices(PROTOCOLS).default('rest'))
    .option('--header <name=value>', 'a header or metadata entry to send; repeatable', appendTo, [])
    .option('--timeout <time>', 'how long to wait for each answer', '60s')
    .option('--iterations <n>', 'how often to send it', '1')
    .option('--show-headers', 'print the headers of each answer to standard error')
    .action((model: string, options: InferOptions, command: Command) =>
      run(command, (session) => inferAsOften(session, model, options)),
    )
}

async function inferAsOften(session: Session, model: string, options: InferOptions): Promise<ExitCode> {
  const iterations = parseIterations(options.iterations)
  const call: InferCall = {
    ingress: session.ingress,
    tls: session.tls,
    model: toTarget(model),
    headers: parseHeaders(options.header),
    timeoutMs: parseDurationMs(options.timeout, '--timeout'),
    request: await readRequest(options, session.terminal),
  }
  const ask = async (): Promise<InferAnswer> => {
    const answer = await infer(options.protocol, call)
    if (options.showHeaders === true)
      for (const [name, value] of Object.entries(answer.headers)) session.terminal.note(`${name}: ${value}`)
    return answer
  }
  if (iterations > 1) return inferMany(session, iterations, ask)
  for (const line of shown(session, (await ask()).response)) session.terminal.out(line)
  return EXIT.ok
}

/** A failure is counted, and the next request is sent all the same: what a rollout or a split does is seen in the counts. */
async function inferMany(
  { terminal, format, now }: Session,
  iterations: number,
  ask: () => Promise<InferAnswer>,
): Promise<ExitCode> {
  const tally = createTally()
  const startedAt = now()
  for (let sent = 0; sent < iterations; sent++) {
    try {
      tally.answered(await ask())
    } catch (error) {
      tally.failed(toServingError(error))
    }
  }
  const elapsedMs = now() - startedAt
  if (format === 'json') terminal.out(JSON.stringify(tallyRecord(tally, elapsedMs)))
  else if (format === 'yaml') terminal.out(stringify(tallyRecord(tally, elapsedMs)).trimEnd())
  else for (const line of tallyLines(tally, elapsedMs)) terminal.out(line)
  return exitCodeOfAll([...tally.failures.values()].map(({ first }) => first))
}

const MAX_ITERATIONS = 1_000_000

function parseIterations(text: string): number {
  if (/^[1-9]\d*$/.test(text) && Number(text) <= MAX_ITERATIONS) return Number(text)
  throw new ServingError(
    'CONFIG_INVALID',
    `--iterations ${text}: must be a whole number from 1 to ${String(MAX_ITERATIONS)}`,
  )
}

async function readRequest({ data, file }: InferOptions, terminal: Terminal): Promise<string> {
  if ((data === undefined) === (file === undefined))
    throw new ServingError('CONFIG_INVALID', 'give the request either with --data or with --file')
  if (data !== undefined) return data === '-' ? terminal.readInput() : data
  const path = file ?? ''
  if (path === '-') return terminal.readInput()
  return readFile(path, 'utf8').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('CONFIG_INVALID', `--file ${path}: cannot be read: ${reason}`, { cause: error })
  })
}

/** The server's own text by default, so that no digit is lost on the way. */
function shown({ format }: Session, response: string): readonly string[] {
  if (format === 'yaml') return [stringify(parseJson(response)).trimEnd()]
  if (format === 'table') return toTable(TENSOR_COLUMNS, parseRestResponse(Buffer.from(response, 'utf8')).outputs)
  return [response.trimEnd()]
}

const MAX_ELEMENTS_SHOWN = 12

const TENSOR_COLUMNS: readonly Column<Tensor>[] = [
  { title: 'OUTPUT', cell: ({ name }) => name },
  { title: 'DATATYPE', cell: ({ datatype }) => datatype },
  { title: 'SHAPE', cell: ({ shape }) => `[${shape.join(',')}]` },
  { title: 'DATA', cell: dataText },
]

function dataText(tensor: Tensor): string {
  const elements = decodeElements(tensor)
  const more = elements.length > MAX_ELEMENTS_SHOWN ? [`... ${String(elements.length)} elements`] : []
  return [...elements.slice(0, MAX_ELEMENTS_SHOWN).map(elementText), ...more].join(', ')
}

const elementText = (element: Element): string =>
  element instanceof Uint8Array ? JSON.stringify(Buffer.from(element).toString('utf8')) : String(element)
