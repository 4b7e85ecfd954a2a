/** What users are told of an ONNX model: what `model.json` declares, checked against the graph, else the graph itself. */
import type { Datatype } from '../../api/oip/datatype.ts'
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import { type Issue, issuesError } from '../../kit/errors.ts'
import type { DeclaredTensor } from '../model-document.ts'

/** A tensor of the graph. */
export interface GraphTensor {
  readonly name: string
  readonly datatype: Datatype
  /** -1: any size. */
  readonly shape: readonly number[]
}

/**
 * Declared inputs must cover the graph's; of the outputs a part may be declared, and only that is offered.
 * @throws ServingError LOAD_FAILED listing every declaration that the graph contradicts
 */
export function toMetadata(
  kind: 'input' | 'output',
  declared: readonly DeclaredTensor[] | undefined,
  graph: readonly GraphTensor[],
): readonly DeclaredTensor[] {
  if (declared === undefined)
    return graph.map((tensor) => ({ ...tensor, parameters: NO_PARAMETERS, source: tensor.name }))
  const issues: Issue[] = []
  for (const tensor of declared) {
    const problem = contradiction(tensor, graph)
    if (problem !== undefined) issues.push({ path: `${kind} "${tensor.name}"`, message: problem })
  }
  for (const tensor of kind === 'input' ? graph : []) {
    if (!declared.some((candidate) => candidate.source === tensor.name))
      issues.push({ path: `input "${tensor.name}"`, message: 'of the graph is not declared' })
  }
  if (issues.length > 0) throw issuesError('LOAD_FAILED', 'model.json beside the graph', issues)
  return declared
}

function contradiction(declared: DeclaredTensor, graph: readonly GraphTensor[]): string | undefined {
  const actual = graph.find((tensor) => tensor.name === declared.source)
  if (actual === undefined)
    return `the graph has no "${declared.source}"; it has ${graph.map((t) => t.name).join(', ')}`
  if (actual.datatype !== declared.datatype)
    return `is declared ${declared.datatype}, the graph says ${actual.datatype}`
  const fits =
    actual.shape.length === declared.shape.length &&
    actual.shape.every((dimension, axis) => dimension === -1 || dimension === declared.shape[axis])
  return fits ? undefined : `is declared [${declared.shape.join(',')}], the graph says [${actual.shape.join(',')}]`
}
