/** IEEE 754 half precision (binary16), which Node 20 has no typed array for. */

const scratch = new DataView(new ArrayBuffer(4))

/** The bits of the half nearest to `value`, ties to even; beyond 65504 infinity, as in any float conversion. */
export function toHalfBits(value: number): number {
  scratch.setFloat32(0, roundToOdd(value))
  const bits = scratch.getUint32(0)
  const sign = (bits >>> 16) & 0x8000
  const exponent = ((bits >>> 23) & 0xff) - 127
  const fraction = bits & 0x7fffff
  if (exponent === 128) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200) // infinity, NaN
  if (exponent > 15) return sign | 0x7c00
  // The kept bits with the hidden one; subnormal halves (exponent below -14) lose one more bit per step.
  const dropped = 13 + Math.max(0, -14 - exponent)
  if (dropped > 24) return sign
  const significand = fraction | 0x800000
  const biased = exponent < -14 ? 0 : exponent + 14 // the hidden bit adds the missing 1
  const kept = (biased << 10) + (significand >>> dropped)
  const rest = significand & ((1 << dropped) - 1)
  const half = 1 << (dropped - 1)
  const roundUp = rest > half || (rest === half && (kept & 1) === 1)
  return sign | (kept + (roundUp ? 1 : 0)) // a carry moves into the exponent, up to infinity
}

/** The value of a half's bits; exact. */
export function fromHalfBits(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/**
 * A double as a float that rounds to a half as the double itself would: rounding twice to nearest could meet a tie that
 * is none. Where the conversion to float was inexact, the last bit is made odd, so no tie can appear.
 */
function roundToOdd(value: number): number {
  const rounded = Math.fround(value)
  if (rounded === value || !Number.isFinite(rounded) || rounded === 0) return rounded
  scratch.setFloat32(0, rounded)
  const bits = scratch.getUint32(0)
  const truncated = Math.abs(rounded) > Math.abs(value) ? bits - 1 : bits
  scratch.setUint32(0, truncated | 1)
  return scratch.getFloat32(0)
}
