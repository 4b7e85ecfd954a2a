/** For cycles: output = counter + 1, with the tensor `continue` below the parameter `until` and `stop` from it on. */
export function load({ parameters }) {
  const until = Number(parameters.until)
  if (Number.isNaN(until)) throw new Error(`parameter until is ${JSON.stringify(parameters.until)}, must be a number`)
  return { until }
}

export function infer({ counter }, { state }) {
  const output = counter.data[0] + 1
  return output < state.until ? { output: [output], continue: [true] } : { output: [output], stop: [true] }
}
