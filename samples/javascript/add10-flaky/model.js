/** The parameter `every`: so often a request fails (500), and all others are answered as add10 answers them. */
export function load({ parameters }) {
  const every = Number(parameters.every)
  if (!(every >= 1)) throw new Error(`parameter every is ${JSON.stringify(parameters.every)}, must be at least 1`)
  return { every, requests: 0 }
}

export function infer({ INPUT }, { state }) {
  state.requests += 1
  if (state.requests % state.every === 0) throw new Error('this release has a bug')
  return { OUTPUT: INPUT.data.map((value) => value + 10) }
}
