/** Puts together what a request would get: the filter's verdict, then the route and hosts of every candidate, or why not. */
import { type Admission, type Candidate, type ExplainedExperiment, admit } from './admission.ts'
import type { AskedRequest } from './request.ts'
import type { RouteSource, RouteState } from './route-source.ts'

export interface ExplainedCandidate extends Candidate {
  readonly route: RouteState
  /** Of a model: its state, and the reason while it is not available. */
  readonly model?: string
}

export interface Explanation {
  readonly request: string
  /** `answered` and `refused`: by Envoy itself, without a server. */
  readonly verdict: 'routed' | 'answered' | 'refused' | 'not found'
  /** What Envoy answers itself. */
  readonly reply?: { readonly httpStatus: number; readonly grpcStatus?: number; readonly message: string }
  readonly target?: string
  readonly removedHeaders: readonly string[]
  readonly candidates: readonly ExplainedCandidate[]
  readonly experiment?: ExplainedExperiment
  /** Who was asked for routes and hosts. */
  readonly source: string
}

export interface ExplainDeps {
  readonly source: RouteSource
  readonly wasmFolder: string
  /** A model's state in one line; undefined when there is nothing to say. */
  readonly modelState: (name: string) => Promise<string | undefined>
}

/** Targets of Envoy's own begin so; no model's name does. */
const isModel = (target: string): boolean => !target.startsWith('_')
const BAD_REQUEST = 400
const NOT_FOUND = 404

export async function explainRequest(request: AskedRequest, deps: ExplainDeps): Promise<Explanation> {
  const admission = admit(request, await deps.source.table(), deps.wasmFolder)
  const common = { request: request.line, source: deps.source.name }
  if (admission.kind === 'answered') return { ...common, ...answered(admission), removedHeaders: [], candidates: [] }
  const candidates: ExplainedCandidate[] = []
  const split = admission.experiment === undefined ? undefined : admission.target
  for (const candidate of admission.candidates) {
    const route = await deps.source.route(candidate, request.protocol, split)
    const model = isModel(candidate.target) ? await deps.modelState(candidate.target) : undefined
    candidates.push({ ...candidate, route, ...(model === undefined ? {} : { model }) })
  }
  const { target, removedHeaders, experiment } = admission
  const found = { ...common, ...verdictOf(target, candidates), target, removedHeaders, candidates }
  return experiment === undefined ? found : { ...found, experiment }
}

function answered({ reply }: Admission & { kind: 'answered' }): Pick<Explanation, 'verdict' | 'reply'> {
  const { httpStatus, grpcStatus, body } = reply
  return {
    verdict: grpcStatus > 0 || httpStatus >= BAD_REQUEST ? 'refused' : 'answered',
    reply: { httpStatus, ...(grpcStatus < 0 ? {} : { grpcStatus }), message: messageOf(body) },
  }
}

/** The `error` of a JSON body, else the body. */
function messageOf(body: string): string {
  const error = /^\{"error":(?<quoted>"(?:[^"\\]|\\.)*")/.exec(body)?.groups?.['quoted']
  return error === undefined ? body : (JSON.parse(error) as string)
}

function verdictOf(target: string, candidates: readonly ExplainedCandidate[]): Pick<Explanation, 'verdict' | 'reply'> {
  const [first] = candidates
  if (first?.route.kind === 'reply')
    return { verdict: 'answered', reply: { httpStatus: first.route.httpStatus, message: 'answered by Envoy itself' } }
  if (candidates.some(({ route }) => route.kind === 'destinations')) return { verdict: 'routed' }
  const message = `model "${target}" is not available: no such model, or it is not loaded`
  return { verdict: 'not found', reply: { httpStatus: NOT_FOUND, message } }
}
