export function infer({ INPUT1 }) {
  return { OUTPUT1: INPUT1.data }
}
