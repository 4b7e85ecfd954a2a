/** The models of the acceptance cases (dataflow.md section 9), as functions. */
import { decodeElements } from '../../../api/oip/elements.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import { validTensor } from '../oip/valid-tensor.ts'
import type { Model } from './virtual-run.ts'

export const COUNTING = Array.from({ length: 16 }, (_, index) => index + 1)
export const EVEN = COUNTING.map((value) => 2 * value)

export const int32 = (name: string, values: readonly number[]): Tensor =>
  validTensor(name, 'INT32', [1, values.length], values)
export const fp32 = (name: string, values: readonly number[]): Tensor =>
  validTensor(name, 'FP32', [values.length], values)

const numbers = (inputs: readonly Tensor[], name: string): readonly number[] => {
  const tensor = inputs.find((input) => input.name === name)
  if (tensor === undefined) throw new Error(`the model takes ${name}, given ${inputs.map((i) => i.name).join(', ')}`)
  return decodeElements(tensor).map(Number)
}

/** OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1. */
export const tfsimple: Model = (inputs) => {
  const [left, right] = [numbers(inputs, 'INPUT0'), numbers(inputs, 'INPUT1')]
  return [
    int32(
      'OUTPUT0',
      left.map((value, index) => value + (right[index] ?? 0)),
    ),
    int32(
      'OUTPUT1',
      left.map((value, index) => value - (right[index] ?? 0)),
    ),
  ]
}
export const mul10: Model = (inputs) => [
  fp32(
    'OUTPUT',
    numbers(inputs, 'INPUT').map((value) => value * 10),
  ),
]
export const add10: Model = (inputs) => [
  fp32(
    'OUTPUT',
    numbers(inputs, 'INPUT').map((value) => value + 10),
  ),
]

/** OUTPUT0 is INPUT0 when CHOICE is 0, else OUTPUT1 is INPUT1. */
export const conditional: Model = (inputs) =>
  numbers(inputs, 'CHOICE')[0] === 0
    ? [fp32('OUTPUT0', numbers(inputs, 'INPUT0'))]
    : [fp32('OUTPUT1', numbers(inputs, 'INPUT1'))]

/** Gives `output` = input + 1, with `continue` below 10 and `stop` from there on. */
export const counter: Model = (inputs) => {
  const [input] = inputs
  const value = Number(decodeElements(input ?? int32('', [0]))[0]) + 1
  return [int32('output', [value]), validTensor(value < 10 ? 'continue' : 'stop', 'BYTES', [1], [''])]
}
/** What came, under the same names. */
export const identity: Model = (inputs) => inputs
