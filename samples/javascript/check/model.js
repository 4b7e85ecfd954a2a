/** The parameter `limit`: OUTPUT = INPUT while no value lies further from 0 than that, else no output at all. */
export function load({ parameters }) {
  const limit = Number(parameters.limit)
  if (Number.isNaN(limit)) throw new Error(`parameter limit is ${JSON.stringify(parameters.limit)}, must be a number`)
  return { limit }
}

export function infer({ INPUT }, { state }) {
  const beyond = INPUT.data.some((value) => Math.abs(value) > state.limit)
  return beyond ? {} : { OUTPUT: INPUT.data }
}
