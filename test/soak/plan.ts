/** What a soak does, from a seed alone: rounds of steps, each taken at its time within the round. Pure. */

export const MODELS = ['ada', 'bob', 'cyd', 'dee'] as const
export type ModelName = (typeof MODELS)[number]
/** `refused` cannot be loaded. */
export type Artifact = 'first' | 'second' | 'refused'

export type Action =
  | { readonly kind: 'apply'; readonly model: ModelName; readonly artifact: Artifact; readonly replicas: number }
  | { readonly kind: 'delete'; readonly model: ModelName }
  | { readonly kind: 'kill'; readonly process: string }
  | { readonly kind: 'pause'; readonly process: string; readonly forMs: number }

export type Step = Action & { readonly atMs: number }
export type Round = readonly Step[]

export const REPLICAS = 3
const CONTROL = ['redis', 'scheduler', 'mesh-metrics-0'] as const
/** Two, so that each model has a copy left when one server is killed. */
const FEWEST_REPLICAS = 2
const ROUND_MS = 3_000
const LONGEST_PAUSE_MS = 3_000

/** Every model, loaded. */
export const firstRound: Round = MODELS.map((model) => ({
  kind: 'apply',
  model,
  artifact: 'first',
  replicas: FEWEST_REPLICAS,
  atMs: 0,
}))

/** Endless; the same for the same seed. At most one server replica is disturbed in a round, Envoy seldom. */
export function* randomRounds(seed: number): Generator<Round, never> {
  const random = createRandom(seed)
  const living = new Set<ModelName>(MODELS)
  const below = (bound: number): number => Math.floor(random() * bound)
  const at = (): number => below(ROUND_MS)
  const disturb = (process: string): Step =>
    below(2) === 0
      ? { kind: 'kill', process, atMs: at() }
      : { kind: 'pause', process, forMs: 200 + below(LONGEST_PAUSE_MS - 200), atMs: at() }

  function* changes(): Generator<Step> {
    for (const model of MODELS) {
      const choice = below(8)
      const replicas = FEWEST_REPLICAS + below(REPLICAS - FEWEST_REPLICAS + 1)
      const good = (): Artifact => (below(2) === 0 ? 'first' : 'second')
      if (!living.has(model)) {
        if (choice < 4) yield { kind: 'apply', model, artifact: good(), replicas, atMs: at() }
      } else if (choice === 0) yield { kind: 'delete', model, atMs: at() }
      else if (choice === 1) yield { kind: 'apply', model, artifact: 'refused', replicas, atMs: at() }
      else if (choice < 4) yield { kind: 'apply', model, artifact: good(), replicas, atMs: at() }
      else if (choice === 4) {
        // an update overtakes another
        yield { kind: 'apply', model, artifact: 'first', replicas, atMs: at() }
        yield { kind: 'apply', model, artifact: 'second', replicas, atMs: ROUND_MS }
      }
    }
  }

  function* disturbances(): Generator<Step> {
    for (const process of CONTROL) if (below(4) === 0) yield disturb(process)
    const replica = String(below(REPLICAS))
    if (below(3) === 0) yield disturb(`embedded-${replica}`)
    if (below(3) === 0) yield disturb(`agent-embedded-${replica}`)
    if (below(8) === 0) yield disturb('envoy-0')
  }

  for (;;) {
    const changed = [...changes()]
    for (const step of changed)
      if (step.kind === 'delete') living.delete(step.model)
      else if (step.kind === 'apply') living.add(step.model)
    yield [...changed, ...disturbances()].toSorted((a, b) => a.atMs - b.atMs)
  }
}

/** xorshift32: numbers in [0, 1). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 2 ** 32
  }
}

export const describeStep = (step: Step): string => {
  const at = `+${String(step.atMs)} ms`
  switch (step.kind) {
    case 'apply':
      return `${at} apply ${step.model} ${step.artifact} on ${String(step.replicas)} replicas`
    case 'delete':
      return `${at} delete ${step.model}`
    case 'kill':
      return `${at} kill ${step.process}`
    case 'pause':
      return `${at} pause ${step.process} for ${String(step.forMs)} ms`
  }
}
