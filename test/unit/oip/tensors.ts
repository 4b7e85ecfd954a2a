/** Arbitrary tensors of every datatype, for the property tests of the codec. */
import fc from 'fast-check'
import { DATATYPES, type Datatype } from '../../../api/oip/datatype.ts'
import { encodeElements } from '../../../api/oip/elements.ts'
import { NO_PARAMETERS, type ParameterValue } from '../../../api/oip/parameters.ts'
import { elementCount, type Tensor } from '../../../api/oip/tensor.ts'
import { fromHalfBits } from '../../../api/oip/float16.ts'

const finiteHalf = fc
  .integer({ min: 0, max: 0xffff })
  .map(fromHalfBits)
  .filter((value) => Number.isFinite(value))

/** Elements that JSON can say: floats are finite, bytes are UTF-8. */
const ELEMENTS: Readonly<Record<Datatype, fc.Arbitrary<unknown>>> = {
  BOOL: fc.boolean(),
  UINT8: fc.integer({ min: 0, max: 0xff }),
  UINT16: fc.integer({ min: 0, max: 0xffff }),
  UINT32: fc.integer({ min: 0, max: 0xffff_ffff }),
  UINT64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  INT8: fc.integer({ min: -0x80, max: 0x7f }),
  INT16: fc.integer({ min: -0x8000, max: 0x7fff }),
  INT32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  FP16: finiteHalf,
  FP32: fc.float({ noNaN: true, noDefaultInfinity: true }),
  FP64: fc.double({ noNaN: true, noDefaultInfinity: true }),
  BYTES: fc.string({ unit: 'binary' }),
}

const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 })

const parameterValues: fc.Arbitrary<ParameterValue> = fc.oneof(
  fc.boolean(),
  fc.string(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Number.isInteger(value)),
)
const parameterNames = fc
  .string({ minLength: 1 })
  .filter((name) => !name.startsWith('binary_data') && name !== '__proto__')
export const parameterSets = fc.oneof(
  fc.constant(NO_PARAMETERS),
  fc.array(fc.tuple(parameterNames, parameterValues), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
)

export const tensorOf = (datatype: Datatype): fc.Arbitrary<Tensor> =>
  shapes.chain((shape) => {
    const count = elementCount(shape)
    return fc
      .tuple(
        fc.string({ minLength: 1 }),
        fc.array(ELEMENTS[datatype], { minLength: count, maxLength: count }),
        parameterSets,
      )
      .map(([name, elements, parameters]) => ({
        name,
        datatype,
        shape,
        parameters,
        bytes: encodeElements(name, datatype, elements),
      }))
  })

export const anyTensor = fc.constantFrom(...DATATYPES).chain(tensorOf)

/** Equal tensors with bytes as plain arrays, so that a Buffer and a Uint8Array compare as equal. */
export const comparable = (tensor: Tensor) => ({ ...tensor, shape: [...tensor.shape], bytes: [...tensor.bytes] })
