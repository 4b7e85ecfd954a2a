/**
 * The parameter `query`, as in `choice == 1` (also !=, <, <=, >, >=): `status` says whether any row satisfies it, and
 * only when one does, `choice` has those rows. So the same artefact is one branch of a pipeline or the other.
 */
const COMPARE = {
  '==': (value, other) => value === other,
  '!=': (value, other) => value !== other,
  '<': (value, other) => value < other,
  '<=': (value, other) => value <= other,
  '>': (value, other) => value > other,
  '>=': (value, other) => value >= other,
}

export function load({ parameters }) {
  const [, operator, number] = /^choice\s*(==|!=|<=?|>=?)\s*(-?\d+)$/.exec(parameters.query) ?? []
  if (operator === undefined) throw new Error(`parameter query is "${parameters.query}", must be like "choice == 1"`)
  return { query: parameters.query, satisfies: (value) => COMPARE[operator](value, Number(number)) }
}

export function infer({ choice }, { state }) {
  const rows = choice.data.filter(state.satisfies)
  if (rows.length === 0) return { status: [`no row satisfies ${state.query}`] }
  return { status: [`rows satisfy ${state.query}`], choice: rows }
}
