/** CHOICE 0: only OUTPUT0; anything else: only OUTPUT1. */
export function infer({ CHOICE, INPUT0, INPUT1 }) {
  return CHOICE.data[0] === 0 ? { OUTPUT0: INPUT0.data } : { OUTPUT1: INPUT1.data }
}
