/** Elements of a tensor, as JavaScript values <-> as bytes, exactly: 64-bit integers are BigInt. */
import { type Datatype, elementBytes, type FixedSizeDatatype } from './datatype.ts'
import { fromHalfBits, toHalfBits } from './float16.ts'
import { elementCount, joinBytesElements, splitBytesElements, type Tensor, tensorError } from './tensor.ts'

/** BOOL: boolean; 64-bit integers: bigint; BYTES: bytes; everything else: number. */
export type Element = boolean | number | bigint | Uint8Array

interface ElementCodec {
  read(view: DataView, at: number): boolean | number | bigint
  /** False: the value is not one of this datatype. */
  write(view: DataView, at: number, value: unknown): boolean
  /** What a value must be, for the error. */
  readonly must: string
}

type IntegerType = 'Uint8' | 'Uint16' | 'Uint32' | 'Int8' | 'Int16' | 'Int32'

function integer(type: IntegerType, minimum: number, maximum: number): ElementCodec {
  const read = `get${type}` as const
  const write = `set${type}` as const
  return {
    read: (view, at) => view[read](at, true),
    write(view, at, value) {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) return false
      view[write](at, value, true)
      return true
    },
    must: `an integer from ${String(minimum)} to ${String(maximum)}`,
  }
}

/** A number is taken while it is exact; beyond 2^53 only digits, which parseJson reads as BigInt, say what is meant. */
function integer64(type: 'BigUint64' | 'BigInt64', minimum: bigint, maximum: bigint): ElementCodec {
  const read = `get${type}` as const
  const write = `set${type}` as const
  return {
    read: (view, at) => view[read](at, true),
    write(view, at, value) {
      if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) return false
      const exact = BigInt(value as bigint | number)
      if (exact < minimum || exact > maximum) return false
      view[write](at, exact, true)
      return true
    },
    must: `an integer from ${String(minimum)} to ${String(maximum)}, written in digits beyond 2^53`,
  }
}

/** What is finite must stay finite; a binary or gRPC client may send NaN and infinities. */
function float(
  maximum: number,
  read: (view: DataView, at: number) => number,
  write: (view: DataView, at: number, value: number) => void,
): ElementCodec {
  return {
    read,
    write(view, at, value) {
      if (typeof value !== 'number' && typeof value !== 'bigint') return false
      const number = Number(value)
      write(view, at, number)
      return !Number.isFinite(number) || Number.isFinite(read(view, at))
    },
    must: `a number of at most ${String(maximum)} either way`,
  }
}

const bool: ElementCodec = {
  read: (view, at) => view.getUint8(at) !== 0,
  write(view, at, value) {
    if (typeof value !== 'boolean' && value !== 0 && value !== 1) return false
    view.setUint8(at, Number(value))
    return true
  },
  must: 'true, false, 1 or 0',
}

const readHalf = (view: DataView, at: number) => fromHalfBits(view.getUint16(at, true))
const readSingle = (view: DataView, at: number) => view.getFloat32(at, true)
const readDouble = (view: DataView, at: number) => view.getFloat64(at, true)
const writeHalf = (view: DataView, at: number, value: number) => view.setUint16(at, toHalfBits(value), true)
const writeSingle = (view: DataView, at: number, value: number) => view.setFloat32(at, value, true)
const writeDouble = (view: DataView, at: number, value: number) => view.setFloat64(at, value, true)

const CODECS: Readonly<Record<FixedSizeDatatype, ElementCodec>> = {
  BOOL: bool,
  UINT8: integer('Uint8', 0, 0xff),
  UINT16: integer('Uint16', 0, 0xffff),
  UINT32: integer('Uint32', 0, 0xffff_ffff),
  UINT64: integer64('BigUint64', 0n, 2n ** 64n - 1n),
  INT8: integer('Int8', -0x80, 0x7f),
  INT16: integer('Int16', -0x8000, 0x7fff),
  INT32: integer('Int32', -0x8000_0000, 0x7fff_ffff),
  INT64: integer64('BigInt64', -(2n ** 63n), 2n ** 63n - 1n),
  FP16: float(65_504, readHalf, writeHalf),
  FP32: float(3.4028234663852886e38, readSingle, writeSingle),
  FP64: float(Number.MAX_VALUE, readDouble, writeDouble),
}

/**
 * Bytes of elements in row-major order. Strings are taken for BYTES, as UTF-8.
 * @throws ServingError TENSOR_INVALID naming the tensor and the first element that does not fit its datatype
 */
export function encodeElements(name: string, datatype: Datatype, elements: readonly unknown[]): Uint8Array {
  if (datatype === 'BYTES') return joinBytesElements(elements.map((element, index) => toBytes(name, element, index)))
  const floats = encodeFloats(datatype, elements)
  if (floats !== undefined) return floats
  const codec = CODECS[datatype]
  const size = elementBytes(datatype)
  const bytes = new Uint8Array(elements.length * size)
  const view = new DataView(bytes.buffer)
  for (let index = 0; index < elements.length; index += 1) {
    if (!codec.write(view, index * size, elements[index]))
      throw elementError(name, index, elements[index], `${codec.must} (${datatype})`)
  }
  return bytes
}

/** Up to so many bytes V8 keeps an array among its objects, as long as nobody asks for its buffer. */
const SMALL_BYTES = 64
const small = new ArrayBuffer(SMALL_BYTES)
const [smallBytes, smallSingles, smallDoubles] = [
  new Uint8Array(small),
  new Float32Array(small),
  new Float64Array(small),
]

/** What is sent most; undefined: something else, or an element that is not of this datatype. */
function encodeFloats(datatype: FixedSizeDatatype, elements: readonly unknown[]): Uint8Array | undefined {
  if (datatype !== 'FP32' && datatype !== 'FP64') return undefined
  const { length } = elements
  const size = length * elementBytes(datatype)
  if (size > SMALL_BYTES) {
    const floats = datatype === 'FP32' ? new Float32Array(length) : new Float64Array(length)
    return fillFloats(floats, elements) ? new Uint8Array(floats.buffer) : undefined
  }
  if (!fillFloats(datatype === 'FP32' ? smallSingles : smallDoubles, elements)) return undefined
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at += 1) bytes[at] = smallBytes[at] ?? 0
  return bytes
}

/** @returns false for an element that is no number, or does not stay finite */
function fillFloats(floats: Float32Array | Float64Array, elements: readonly unknown[]): boolean {
  for (let index = 0; index < elements.length; index += 1) {
    const value = elements[index]
    if (typeof value !== 'number') return false
    floats[index] = value
    if (!Number.isFinite(floats[index]) && Number.isFinite(value)) return false
  }
  return true
}

/** The elements of a tensor, in row-major order. */
export function decodeElements(tensor: Tensor): Element[] {
  const { name, datatype, shape, bytes } = tensor
  if (datatype === 'BYTES') return splitBytesElements(name, bytes, elementCount(shape))
  const codec = CODECS[datatype]
  const size = elementBytes(datatype)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const elements: Element[] = []
  for (let at = 0; at < bytes.byteLength; at += size) elements.push(codec.read(view, at))
  return elements
}

function toBytes(name: string, element: unknown, index: number): Uint8Array {
  if (typeof element === 'string') return Buffer.from(element, 'utf8')
  if (element instanceof Uint8Array) return element
  throw elementError(name, index, element, 'a string (BYTES)')
}

function elementError(name: string, index: number, found: unknown, must: string) {
  return tensorError(name, `element ${String(index)} is ${describe(found)}, must be ${must}`)
}

/** What was found, short enough for a message. */
function describe(value: unknown): string {
  if (value === null || value === undefined)
    return 'null (NaN and Infinity have no JSON form: send them as binary data)'
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'an object'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value as number | bigint | boolean)
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}
