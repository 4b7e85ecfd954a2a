/**
 * What flows, in the form that neither a request nor a response has: id, parameters, tensors. Turning the one into the other
 * keeps these and drops model name, version and requested outputs. Tensors are passed on by reference. Pure.
 */
import type { InferenceRequest } from '../../api/oip/inference.ts'
import { NO_PARAMETERS, type Parameters } from '../../api/oip/parameters.ts'
import type { Tensor } from '../../api/oip/tensor.ts'
import type { EdgeMessage } from './types.ts'

export interface Payload {
  readonly id: string
  readonly parameters: Parameters
  readonly tensors: readonly Tensor[]
}

/** How a source takes from its edge; part of a plan's `Source`. */
interface Selection {
  readonly tensors: ReadonlySet<string> | undefined
  readonly renames: ReadonlyMap<string, string>
}

export function toPayload(message: EdgeMessage): Payload {
  if (message.kind === 'request') {
    const { id, parameters, inputs } = message.request
    return { id, parameters, tensors: inputs }
  }
  const { id, parameters, outputs } = message.response
  return { id, parameters, tensors: outputs }
}

const ALL_OUTPUTS: InferenceRequest['outputs'] = []

export const toRequest = ({ id, parameters, tensors }: Payload): EdgeMessage & { readonly kind: 'request' } => ({
  kind: 'request',
  request: { id, parameters, inputs: tensors, outputs: ALL_OUTPUTS },
})

export const toResponse = ({ id, parameters, tensors }: Payload): EdgeMessage & { readonly kind: 'response' } => ({
  kind: 'response',
  response: { modelName: '', modelVersion: '', id, parameters, outputs: tensors },
})

/** What a source takes, in the message's order; undefined when that is nothing: then nothing flows. */
export function select({ tensors, renames }: Selection, payload: Payload): Payload | undefined {
  const taken = tensors === undefined ? payload.tensors : payload.tensors.filter(({ name }) => tensors.has(name))
  if (taken.length === 0) return undefined
  const { id, parameters } = payload
  if (renames.size === 0) return taken === payload.tensors ? payload : { id, parameters, tensors: taken }
  return { id, parameters, tensors: taken.map((tensor) => renamed(tensor, renames.get(tensor.name))) }
}

/** From left to right: id and parameters of the first, all tensors, duplicate names kept. Of at least one. */
export function joinPayloads(payloads: readonly Payload[]): Payload {
  const first = payloads[0] ?? NOTHING
  if (payloads.length < 2) return first
  const tensors: Tensor[] = []
  for (const payload of payloads) tensors.push(...payload.tensors)
  return { id: first.id, parameters: first.parameters, tensors }
}

const NOTHING: Payload = { id: '', parameters: NO_PARAMETERS, tensors: [] }

const renamed = (tensor: Tensor, name: string | undefined): Tensor =>
  name === undefined ? tensor : { ...tensor, name }
