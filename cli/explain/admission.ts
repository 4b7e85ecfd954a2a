/** What Envoy's own filter says to a request: the compiled `router.wasm`, run here with the table that Envoy has. */
import { compileFilter, type LocalReply, ProxyHost } from '../../wasm-filter/host/proxy-host.ts'
import { routedBy, runStream } from '../../wasm-filter/host/stream.ts'
import { ServingError } from '../../kit/errors.ts'
import type { AskedRequest } from './request.ts'
import { reasonOf, splitOf, withoutSplits } from './split.ts'

export interface Candidate {
  readonly target: string
  readonly weightPercent: number
  readonly shard: number
}

export interface ExplainedExperiment {
  readonly name: string
  /** For people: why it is this candidate, or that it is left to chance. */
  readonly reason: string
  readonly isMirrored: boolean
}

export type Admission =
  | { readonly kind: 'answered'; readonly reply: LocalReply }
  | {
      readonly kind: 'routed'
      /** What was asked for. Several candidates: a split leaves it to chance. */
      readonly target: string
      readonly candidates: readonly Candidate[]
      /** The experiment that shares the target's traffic. */
      readonly experiment?: ExplainedExperiment
      /** Headers that only we may set and this client did: taken away. */
      readonly removedHeaders: readonly string[]
    }

const OURS = ['x-millrace-target', 'x-millrace-mirror', 'seldon-internal-model']

/** `table`: the configuration of Envoy's router filter, as wasm-filter/README.md describes it. */
export function admit(request: AskedRequest, table: string, wasmFolder: string): Admission {
  const module = compileFilter(wasmFolder, 'router')
  const whole = withoutSplits(table)
  const asked = run(module, whole, request)
  if (asked.kind === 'answered') return asked
  const removedHeaders = request.headers.map(([name]) => name).filter((name) => OURS.includes(name))
  const { target, shard } = asked
  const split = splitOf(table, target)
  if (split === undefined)
    return { kind: 'routed', target, removedHeaders, candidates: [{ target, weightPercent: 100, shard }] }
  const reason = reasonOf(split, request.headers)
  const experiment = { name: split.seed, reason: reason ?? BY_CHANCE, isMirrored: split.isMirrored }
  const weights =
    reason === undefined ? split.candidates : [{ target: chosenOf(run(module, table, request)), weight: 1 }]
  const sum = weights.reduce((total, { weight }) => total + weight, 0)
  const candidates = weights.map((one) => ({
    target: one.target,
    weightPercent: (100 * one.weight) / sum,
    shard: one.target === target ? shard : shardOf(module, whole, one.target),
  }))
  return { kind: 'routed', target, removedHeaders, candidates, experiment }
}

const BY_CHANCE = 'nothing in the request decides: by chance, in proportion to the weights'

/** What decides was found here; whom it leads to, the filter itself says. */
const chosenOf = (outcome: Outcome): string => (outcome.kind === 'target' ? outcome.target : '')

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
  const routed = routedBy(result.headers)
  if (routed === undefined) throw new ServingError('INVARIANT_BROKEN', 'the router filter names no target')
  return { kind: 'target', ...routed }
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
