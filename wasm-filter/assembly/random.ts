// xorshift32: `Math.random` would import a seed function that Envoy does not have.
let state: u32 = 0x9e3779b9

export function seed(value: u64): void {
  state = <u32>(value ^ (value >> 32)) | 1
}

/** A number from 0 to `bound` - 1. */
export function randomBelow(bound: u32): u32 {
  state ^= state << 13
  state ^= state >> 17
  state ^= state << 5
  return <u32>((<u64>state * bound) >> 32)
}
