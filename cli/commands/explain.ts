import { join } from 'node:path'
import { Argument, type Command, Option } from 'commander'
import { stringify } from 'yaml'
import { ServingError, toServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import { createEnvoyAdminClient } from '../client/envoy-admin-client.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { explainRequest, type Explanation } from '../explain/explanation.ts'
import { toAskedRequest } from '../explain/request.ts'
import { createDocumentSource, createEnvoySource, findModel, type RouteSource } from '../explain/route-source.ts'
import { parseHeaders } from '../headers.ts'
import { explanationLines } from '../output/explanation.ts'
import { ENVOY_ADMIN_PORT, type Run, type Session } from '../session.ts'
import { appendTo } from './options.ts'

interface ExplainOptions {
  readonly path?: string
  readonly method?: string
  readonly grpcMethod?: string
  readonly modelName?: string
  readonly header: readonly string[]
  readonly envoyAdmin?: string
}

/** `explain request`: where a request would go, and why not. */
export function addExplain(program: Command, run: Run): void {
  program
    .command('explain')
    .summary('say what a given request would get, and why')
    .description(
      'Says which target, candidates, shard, cluster and hosts a request would get, or who would refuse it and why. ' +
        "What is admitted is judged by Envoy's own filter, run here; routes and hosts are read from Envoy's admin port, " +
        'or, where none answers, from the scheduler.',
    )
    .addArgument(new Argument('<what>', 'what to explain').choices(['request']))
    .option('--path <path>', 'a REST path, as /v2/models/iris/infer')
    .option('--method <method>', 'its method (default: POST, or GET where the path is only read)')
    .option('--grpc-method <method>', 'a gRPC method, as ModelInfer')
    .option('--model-name <name>', 'the model_name in the gRPC message; alone: a REST inference of this model')
    .option('--header <name=value>', 'a header of the request; repeatable', appendTo, [])
    .addOption(
      new Option(
        '--envoy-admin <url>',
        `Envoy's admin port (default: http://127.0.0.1:${String(ENVOY_ADMIN_PORT)}, when one is there)`,
      ).env('MILLRACE_ENVOY_ADMIN'),
    )
    .action((_what: string, options: ExplainOptions, command: Command) =>
      run(command, (session) => explain(session, options)),
    )
}

async function explain(session: Session, options: ExplainOptions): Promise<ExitCode> {
  const { header, ...named } = options
  const request = toAskedRequest({ ...named, headers: parseHeaders(header) })
  const source = await chooseSource(session, options.envoyAdmin)
  const explanation = await explainRequest(request, {
    source,
    wasmFolder: join(packageRoot, 'wasm-filter/build'),
    modelState: (name) => modelState(session, name),
  })
  show(session, explanation)
  return EXIT.ok
}

/** An Envoy that was named must answer; the one of a local `millrace up` need not be there. */
async function chooseSource(session: Session, named: string | undefined): Promise<RouteSource> {
  const url = named ?? `http://127.0.0.1:${String(ENVOY_ADMIN_PORT + session.portOffset)}`
  if (!URL.canParse(url) || !/^https?:/.test(url))
    throw new ServingError(
      'CONFIG_INVALID',
      `--envoy-admin ${url}: write it as a URL, for instance http://127.0.0.1:9901`,
    )
  const envoy = createEnvoySource(createEnvoyAdminClient(new URL(url), session))
  try {
    await envoy.table()
    return envoy
  } catch (error) {
    if (named !== undefined) throw error
    session.terminal.note(`${toServingError(error).message}; the scheduler is asked instead`)
    return createDocumentSource(session.admin)
  }
}

/** Routes are Envoy's, whether or not a scheduler answers: one that does not is part of the answer. */
async function modelState({ admin }: Session, name: string): Promise<string | undefined> {
  try {
    const model = await findModel(admin, name)
    if (model === undefined) return 'no such model'
    const { state = 'Unknown', reason } = model.status ?? {}
    return reason === undefined || reason === '' ? state : `${state}: ${reason}`
  } catch (error) {
    return `not known: ${toServingError(error).message}`
  }
}

function show({ terminal, format }: Session, explanation: Explanation): void {
  if (format === 'json') terminal.out(JSON.stringify(explanation, undefined, 2))
  else if (format === 'yaml') terminal.out(stringify(explanation).trimEnd())
  else if (format === 'name') terminal.out(explanation.target ?? explanation.verdict)
  else for (const line of explanationLines(explanation, terminal)) terminal.out(line)
}
