export function infer({ INPUT }) {
  return { OUTPUT: INPUT.data.map((value) => value + 20) }
}
