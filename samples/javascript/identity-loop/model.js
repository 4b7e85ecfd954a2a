import { setTimeout as pause } from 'node:timers/promises'

/** output = input after the parameter `delayMs`: iterations of a cycle then lie apart in time. */
export async function infer({ input }, { parameters }) {
  await pause(Number(parameters.delayMs))
  return { output: input.data }
}
