/** What Envoy's own filter says to a request: the compiled `router.wasm`, run here with the table that Envoy has. */
import { compileFilter, type LocalReply, ProxyHost } from '../../wasm-filter/host/proxy-host.ts'
import { runStream, valueOf } from '../../wasm-filter/host/stream.ts'
import { ServingError } from '../../kit/errors.ts'
import type { AskedRequest } from './request.ts'

export interface Candidate {
  readonly target: string
  readonly weightPercent: number
  readonly shard: number
}

export type Admission =
  | { readonly kind: 'answered'; readonly reply: LocalReply }
  | {
      readonly kind: 'routed'
      /** What was asked for; a split sends it to several candidates, else it is the only one. */
      readonly target: string
      readonly candidates: readonly Candidate[]
      /** Headers that only we may set and this client did: taken away. */
      readonly removedHeaders: readonly string[]
    }

const TARGET = 'x-millrace-target'
const SHARD = 'x-millrace-shard'
const OURS = [TARGET, 'x-millrace-proto', SHARD, 'x-millrace-mirror', 'seldon-internal-model']

/** `table`: the configuration of Envoy's router filter, as wasm-filter/README.md describes it. */
export function admit(request: AskedRequest, table: string, wasmFolder: string): Admission {
  const module = compileFilter(wasmFolder, 'router')
  const whole = withoutSplits(table)
  const asked = run(module, whole, request)
  if (asked.kind === 'answered') return asked
  return {
    kind: 'routed',
    target: asked.target,
    removedHeaders: request.headers.map(([name]) => name).filter((name) => OURS.includes(name)),
    candidates: candidatesOf(table, asked.target).map(({ target, weightPercent }) => ({
      target,
      weightPercent,
      shard: target === asked.target ? asked.shard : shardOf(module, whole, target),
    })),
  }
}

type Outcome =
  | { readonly kind: 'answered'; readonly reply: LocalReply }
  | { readonly kind: 'target'; readonly target: string; readonly shard: number }

function run(module: WebAssembly.Module, table: string, request: AskedRequest): Outcome {
  const host = new ProxyHost(module)
  if (!host.configure(table))
    throw new ServingError('INVARIANT_BROKEN', `the router filter refuses Envoy's table: ${host.logs.join('; ')}`)
  const { headers, message } = request
  const result = runStream(host, { headers, ...(message === undefined ? {} : { chunks: [message] }) })
  if (result.localReply !== undefined) return { kind: 'answered', reply: result.localReply }
  return {
    kind: 'target',
    target: valueOf(result.headers, TARGET) ?? '',
    shard: Number(valueOf(result.headers, SHARD)),
  }
}

/** The shard is the filter's own, too: it is asked for the candidate by name. */
function shardOf(module: WebAssembly.Module, table: string, target: string): number {
  const headers = [
    [':method', 'POST'],
    [':path', `/v2/models/${target}/infer`],
  ] as const
  const outcome = run(module, table, { protocol: 'rest', line: '', headers, message: undefined })
  return outcome.kind === 'target' ? outcome.shard : Number.NaN
}

const SPLIT = 'split '

const withoutSplits = (table: string): string =>
  table
    .split('\n')
    .filter((line) => !line.startsWith(SPLIT))
    .join('\n')

/** `split <target> <candidate> <weight> ...`: a draw per request, so all of them, each with its share. */
function candidatesOf(table: string, target: string): readonly { target: string; weightPercent: number }[] {
  const line = table.split('\n').find((text) => text.startsWith(`${SPLIT}${target} `))
  if (line === undefined) return [{ target, weightPercent: 100 }]
  const words = line.split(' ').slice(2)
  const pairs = words.flatMap((word, index) =>
    index % 2 === 0 ? [{ target: word, weight: Number(words[index + 1]) }] : [],
  )
  const sum = pairs.reduce((total, { weight }) => total + weight, 0)
  return pairs.map((pair) => ({ target: pair.target, weightPercent: (100 * pair.weight) / sum }))
}
