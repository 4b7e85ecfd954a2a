/** The parameter `limit`: OUTPUT = INPUT while no value lies further from 0 than that, else the caller is told (400). */
export function load({ parameters }) {
  const limit = Number(parameters.limit)
  if (Number.isNaN(limit)) throw new Error(`parameter limit is ${JSON.stringify(parameters.limit)}, must be a number`)
  return { limit }
}

export function infer({ INPUT }, { state }) {
  const index = INPUT.data.findIndex((value) => Math.abs(value) > state.limit)
  if (index === -1) return { OUTPUT: INPUT.data }
  const outlier = `element ${index} of INPUT is ${INPUT.data[index]}`
  throw Object.assign(new Error(`outlier: ${outlier}, beyond the limit of ${state.limit}`), { status: 400 })
}
