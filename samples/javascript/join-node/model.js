/** OUTPUT1 = INPUT1 + INPUT2; 64-bit integers are BigInt. */
export function infer({ INPUT1, INPUT2 }) {
  if (INPUT1.data.length !== INPUT2.data.length)
    throw Object.assign(new Error('INPUT1 and INPUT2 must have the same shape'), { status: 400 })
  return { OUTPUT1: INPUT1.data.map((value, index) => value + INPUT2.data[index]) }
}
