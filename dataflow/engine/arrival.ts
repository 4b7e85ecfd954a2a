/** What a record on a step's topics, or among the errors, is to a request of a pipeline over topics. Pure. */
import { decodeRequest, decodeResponse, headerOf } from '../journal/decode.ts'
import { readFailure, routesOf } from '../journal/journal-headers.ts'
import { type TopicEnd, VERSION_HEADER } from '../journal/topics.ts'
import type { IncomingRecord } from '../kafka/client.ts'
import type { Plan } from '../plan/plan.ts'
import type { Arrival } from '../runner/topics-runner.ts'
import { readVisit } from '../runner/visit-header.ts'
import { isOfTopicsRunner } from './identity.ts'

/**
 * Undefined: nothing of this plan. Of what a runner asked for, only answers to the same version count.
 * @throws ServingError REQUEST_INVALID, TENSOR_INVALID: nobody can read it
 */
export function toArrival(plan: Plan, end: TopicEnd, record: IncomingRecord): Arrival | undefined {
  const { headers, value } = record
  const failure = readFailure(record)
  const step = end.kind === 'errors' ? failure?.source : end.name
  const node = plan.nodes.findIndex(({ kind, name }) => kind === 'step' && name === step)
  const { into, answers } = plan.nodes[node] ?? {}
  const visit = readVisit(headers, plan.loops)
  if (into === undefined || answers === undefined || visit === undefined) return undefined
  if (isOfTopicsRunner(headers) && headerOf(headers, VERSION_HEADER) !== String(plan.version)) return undefined
  const bytes = value.length
  if (failure !== undefined) return { kind: 'failure', visit, bytes, node, cause: failure }
  if (end.kind === 'errors') return undefined
  return end.side === 'inputs'
    ? { kind: 'data', visit, bytes, edge: into, message: { kind: 'request', request: decodeRequest(record) } }
    : {
        kind: 'data',
        visit,
        bytes,
        edge: answers,
        message: { kind: 'response', response: decodeResponse(value) },
        routes: routesOf(headers),
      }
}
