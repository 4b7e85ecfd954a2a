import type { Datatype } from '../../../api/oip/datatype.ts'
import { encodeElements } from '../../../api/oip/elements.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'

/** A tensor out of values. */
export const validTensor = (
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  elements: readonly unknown[],
): Tensor => ({ name, datatype, shape, parameters: {}, bytes: encodeElements(name, datatype, elements) })
