/** The datatypes of the Open Inference Protocol (OIP) and the size of one element of each. */

const ELEMENT_BYTES = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: undefined,
} as const satisfies Record<string, number | undefined>

export type Datatype = keyof typeof ELEMENT_BYTES
export type FixedSizeDatatype = Exclude<Datatype, 'BYTES'>

export const DATATYPES = Object.keys(ELEMENT_BYTES) as readonly Datatype[]

/** Bytes of one element; undefined for BYTES, whose elements each carry their own length. */
export function elementBytes(datatype: FixedSizeDatatype): number
export function elementBytes(datatype: Datatype): number | undefined
export function elementBytes(datatype: Datatype): number | undefined {
  return ELEMENT_BYTES[datatype]
}

export function isDatatype(value: unknown): value is Datatype {
  return typeof value === 'string' && Object.hasOwn(ELEMENT_BYTES, value)
}
