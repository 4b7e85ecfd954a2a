/** OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1. Sums wrap around as 32-bit integers do. */
export function infer({ INPUT0, INPUT1 }) {
  const { data: left } = INPUT0
  const { data: right } = INPUT1
  if (left.length !== right.length)
    throw Object.assign(new Error('INPUT0 and INPUT1 must have the same shape'), { status: 400 })
  return {
    OUTPUT0: left.map((value, index) => value + right[index]),
    OUTPUT1: left.map((value, index) => value - right[index]),
  }
}
