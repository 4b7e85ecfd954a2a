/** From a round that went wrong to fewer steps that still go wrong, by playing them again. */
import { type Failure, play } from './play.ts'
import { MODELS, type Round } from './plan.ts'

export interface Smaller {
  /** After the first round, which loads all models. */
  readonly rounds: readonly Round[]
  readonly problems: readonly string[]
}

/** Undefined when the round, played alone, goes well. Ends at `untilMs` with the smallest found so far. */
export async function shrink(
  failure: Failure,
  untilMs: number,
  tryRounds: typeof play = play,
): Promise<Smaller | undefined> {
  const preparing: Round = MODELS.filter((model) => !failure.before.has(model)).map((model) => ({
    kind: 'delete',
    model,
    atMs: 0,
  }))
  const attempt = async (round: Round): Promise<Smaller | undefined> => {
    const rounds = [preparing, round].filter((steps) => steps.length > 0)
    const again = await tryRounds(rounds, Infinity, () => undefined)
    return again === undefined ? undefined : { rounds, problems: again.problems }
  }

  let smallest = await attempt(failure.round)
  if (smallest === undefined) return undefined
  let kept = failure.round
  for (const step of failure.round) {
    if (performance.now() > untilMs) break
    const fewer = kept.filter((other) => other !== step)
    const smaller = fewer.length === 0 ? undefined : await attempt(fewer)
    if (smaller !== undefined) [smallest, kept] = [smaller, fewer]
  }
  return smallest
}
