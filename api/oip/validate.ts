/** A request against what the model's metadata says. */
import { type Issue, issuesError } from '../../kit/errors.ts'
import type { InferenceRequest } from './inference.ts'
import type { ModelMetadata, TensorMetadata } from './metadata.ts'
import type { Tensor } from './tensor.ts'

/**
 * @throws ServingError TENSOR_INVALID listing every input and output that does not fit, by name
 */
export function checkRequest(request: InferenceRequest, metadata: ModelMetadata): void {
  const issues = [...inputIssues(request.inputs, metadata.inputs), ...outputIssues(request, metadata.outputs)]
  if (issues.length > 0) throw issuesError('TENSOR_INVALID', `the request to model ${metadata.name}`, issues)
}

function inputIssues(inputs: readonly Tensor[], expected: readonly TensorMetadata[]): Issue[] {
  const issues: Issue[] = []
  const sent = new Set<string>()
  for (const tensor of inputs) {
    const wanted = expected.find((candidate) => candidate.name === tensor.name)
    const problem = sent.has(tensor.name)
      ? 'is sent twice'
      : wanted === undefined
        ? `is unknown; the model takes ${namesOf(expected)}`
        : tensorProblem(tensor, wanted)
    if (problem !== undefined) issues.push({ path: `input "${tensor.name}"`, message: problem })
    sent.add(tensor.name)
  }
  for (const wanted of expected) {
    if (!sent.has(wanted.name))
      issues.push({ path: `input "${wanted.name}"`, message: `is missing; send ${describe(wanted)}` })
  }
  return issues
}

function outputIssues(request: InferenceRequest, offered: readonly TensorMetadata[]): Issue[] {
  const issues: Issue[] = []
  const asked = new Set<string>()
  for (const { name } of request.outputs) {
    if (asked.has(name)) issues.push({ path: `output "${name}"`, message: 'is asked for twice' })
    else if (!offered.some((tensor) => tensor.name === name))
      issues.push({ path: `output "${name}"`, message: `is unknown; the model gives ${namesOf(offered)}` })
    asked.add(name)
  }
  return issues
}

function tensorProblem(tensor: Tensor, wanted: TensorMetadata): string | undefined {
  if (tensor.datatype !== wanted.datatype) return `is ${tensor.datatype}, must be ${wanted.datatype}`
  const fits =
    tensor.shape.length === wanted.shape.length &&
    wanted.shape.every((dimension, axis) => dimension === -1 || dimension === tensor.shape[axis])
  return fits
    ? undefined
    : `has shape [${tensor.shape.join(',')}], must be [${wanted.shape.join(',')}] (-1 is any size)`
}

const describe = (tensor: TensorMetadata) => `${tensor.datatype} [${tensor.shape.join(',')}]`
const namesOf = (tensors: readonly TensorMetadata[]) => tensors.map((tensor) => `"${tensor.name}"`).join(', ')
