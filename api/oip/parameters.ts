/** Parameters of requests, responses and tensors: JSON <-> internal <-> gRPC. */
import { ServingError } from '../../kit/errors.ts'
import type { InferParameter, InferParameter__Output } from '../generated/inference/InferParameter.ts'

/** Integers are bigint, so that a 64-bit one is exact; a number is a fraction. */
export type ParameterValue = boolean | bigint | number | string
export type Parameters = Readonly<Record<string, ParameterValue>>

export const NO_PARAMETERS: Parameters = Object.freeze({})

/** Without a list of the names. */
export function isEmpty(parameters: Parameters): boolean {
  for (const _ in parameters) return false
  return true
}

/** @throws ServingError REQUEST_INVALID naming the parameter */
export function parseParameters(raw: unknown, subject: string): Parameters {
  if (raw === undefined || raw === null) return NO_PARAMETERS
  if (typeof raw !== 'object' || Array.isArray(raw))
    throw new ServingError('REQUEST_INVALID', `parameters of ${subject} must be an object`)
  const parameters: [string, ParameterValue][] = []
  for (const [name, value] of Object.entries(raw as Record<string, unknown>)) {
    if (typeof value === 'boolean' || typeof value === 'string' || typeof value === 'bigint')
      parameters.push([name, value])
    else if (typeof value === 'number' && Number.isFinite(value))
      parameters.push([name, Number.isSafeInteger(value) ? BigInt(value) : value])
    else
      throw new ServingError(
        'REQUEST_INVALID',
        `parameter "${name}" of ${subject} must be a string, a number, true or false`,
      )
  }
  return parameters.length === 0 ? NO_PARAMETERS : Object.fromEntries(parameters)
}

/** JSON text of parameters; JSON.stringify alone has no form for bigint. */
export function parametersJson(parameters: Parameters): string {
  if (isEmpty(parameters)) return '{}'
  const members = Object.entries(parameters).map(
    ([name, value]) => `${JSON.stringify(name)}:${typeof value === 'bigint' ? String(value) : JSON.stringify(value)}`,
  )
  return `{${members.join(',')}}`
}

/** A parameter whose oneof is not set says nothing and is left out. */
export function fromGrpcParameters(parameters: Readonly<Record<string, InferParameter__Output>>): Parameters {
  const entries: [string, ParameterValue][] = []
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = fromGrpcParameter(parameter)
    if (value !== undefined) entries.push([name, value])
  }
  return entries.length === 0 ? NO_PARAMETERS : Object.fromEntries(entries)
}

function fromGrpcParameter(parameter: InferParameter__Output): ParameterValue | undefined {
  switch (parameter.parameterChoice) {
    case 'boolParam':
      return parameter.boolParam
    case 'int64Param':
      return BigInt(parameter.int64Param ?? 0)
    case 'uint64Param':
      return BigInt(parameter.uint64Param ?? 0)
    case 'doubleParam':
      return parameter.doubleParam
    case 'stringParam':
      return parameter.stringParam
    case undefined:
      return undefined
  }
}

export function toGrpcParameters(parameters: Parameters): Record<string, InferParameter> {
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, toGrpcParameter(value)]))
}

const INT64_MAX = 2n ** 63n - 1n

function toGrpcParameter(value: ParameterValue): InferParameter {
  if (typeof value === 'boolean') return { boolParam: value }
  if (typeof value === 'string') return { stringParam: value }
  if (typeof value === 'number') return { doubleParam: value }
  return value > INT64_MAX ? { uint64Param: String(value) } : { int64Param: String(value) }
}
