/** Plays rounds on a mesh that restarts what dies, as `millrace up` does, under requests, and checks after each. */
import { pause } from '../../kit/backoff.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import { startMesh, type TestMesh } from '../support/mesh.ts'
import { modelResource, writeTestArtifact } from '../support/models.ts'
import { type Load, type Outcome, startLoad } from '../support/open-loop.ts'
import { after, type Disturbance, type Expectation, steadyModels, unexplained } from './expectation.ts'
import { type Artifact, firstRound, REPLICAS, type Round, type Step } from './plan.ts'
import { type Serving, untilSettled } from './settled.ts'

const RATE_PER_PROTOCOL = 50
/** Longer than any pause: a paused process answers late. */
const REQUEST_DEADLINE_MS = 20_000
const ACCEPT_DEADLINE_MS = 60_000
const RETRY_MS = 100
const READY_DEADLINE_MS = 30_000

const BEHAVIOUR: Readonly<Record<Artifact, object>> = {
  first: { kind: 'echo' },
  second: { kind: 'sleep', ms: 5 },
  refused: { kind: 'refuse-load' },
}

export interface Failure {
  readonly round: Round
  /** What stood before the round. */
  readonly before: Expectation
  readonly problems: readonly string[]
  readonly logs: string
}

/** Plays until the rounds or the time are out, or something is wrong. */
export async function play(
  rounds: Iterable<Round>,
  untilMs: number,
  onRound: (round: Round, requests: number) => void,
): Promise<Failure | undefined> {
  const mesh = await startMesh({
    replicas: REPLICAS,
    modelServer: 'test',
    restarts: () => true,
    schedulerFlags: ['--replica-grace-seconds', '2'],
  })
  try {
    const artifacts = new Map(
      Object.entries(BEHAVIOUR).map(([name, behaviour]) => [
        name,
        writeTestArtifact(mesh.folder, name, { ...behaviour }),
      ]),
    )
    const player = { mesh, uriOf: (artifact: Artifact) => artifacts.get(artifact) ?? '', serving: new Map() }
    let expected: Expectation = new Map()
    for (const round of withFirst(rounds)) {
      const before = expected
      for (const step of round) expected = after(expected, step)
      const { requests, problems } = await playRound(player, round, before, expected)
      if (problems.length > 0) return { round, before, problems, logs: mesh.logTails() }
      onRound(round, requests)
      if (performance.now() > untilMs) break
    }
    return undefined
  } finally {
    await mesh.stop()
  }
}

function* withFirst(rounds: Iterable<Round>): Generator<Round> {
  yield firstRound
  yield* rounds
}

interface Player {
  readonly mesh: TestMesh
  readonly uriOf: (artifact: Artifact) => string
  readonly serving: Serving
}

async function playRound(player: Player, round: Round, before: Expectation, expected: Expectation) {
  const disturbances: Disturbance[] = []
  const problems: string[] = []
  const steady = steadyModels(before, round)
  const load: Load | undefined =
    steady.length === 0
      ? undefined
      : startLoad({
          ingress: player.mesh.ingress,
          model: steady,
          ratePerSecond: RATE_PER_PROTOCOL,
          requestDeadlineMs: REQUEST_DEADLINE_MS,
        })
  const taken = subjectsOf(round).map(async (steps) => {
    try {
      await takeSteps(player, steps, disturbances)
    } catch (error) {
      problems.push(`${steps.map((step) => step.kind).join(', ')}: ${toServingError(error).message}`)
    }
  })
  await Promise.all(taken)
  problems.push(...(await untilSettled(player.mesh, expected, player.serving)))
  const outcomes = load === undefined ? [] : (await load.stop()).outcomes
  problems.push(...unexplained(outcomes, disturbances).map((outcome) => describe(outcome, disturbances)))
  return { requests: outcomes.length, problems }
}

/** Steps of one model or process follow each other; different ones do not wait for each other. */
function subjectsOf(round: Round): Step[][] {
  const subjectOf = (step: Step): string => ('model' in step ? step.model : step.process)
  return [...new Set(round.map(subjectOf))].map((subject) => round.filter((step) => subjectOf(step) === subject))
}

async function takeSteps(player: Player, steps: readonly Step[], disturbances: Disturbance[]): Promise<void> {
  const startedMs = performance.now()
  const never = new AbortController().signal
  for (const step of steps) {
    await pause(Math.max(0, startedMs + step.atMs - performance.now()), never)
    if (step.kind === 'kill' || step.kind === 'pause') disturbances.push(await disturb(player.mesh, step))
    else await untilAccepted(() => change(player, step))
  }
}

async function change({ mesh, uriOf }: Player, step: Extract<Step, { model: string }>): Promise<void> {
  if (step.kind === 'delete') {
    await mesh.admin.delete('Model', step.model).catch((error: unknown) => {
      if (toServingError(error).code !== 'MODEL_NOT_FOUND') throw error // an earlier try went through
    })
    return
  }
  const { model, artifact, replicas } = step
  await mesh.admin.apply(modelResource(model, { storageUri: uriOf(artifact), replicas }))
}

/** A user repeats what a scheduler that is down did not take; both calls may be repeated. */
async function untilAccepted(call: () => Promise<void>): Promise<void> {
  const deadline = AbortSignal.timeout(ACCEPT_DEADLINE_MS)
  for (;;) {
    try {
      await call()
      return
    } catch (error) {
      if (deadline.aborted)
        throw new ServingError('LOAD_TIMEOUT', `not accepted in time: ${toServingError(error).message}`)
      await pause(RETRY_MS, deadline)
    }
  }
}

async function disturb(mesh: TestMesh, step: Extract<Step, { process: string }>): Promise<Disturbance> {
  const { kind, process } = step
  const fromMs = Date.now()
  if (step.kind === 'kill') {
    await mesh.kill(process)
    await mesh.untilReady(process, READY_DEADLINE_MS)
  } else {
    mesh.freeze(process)
    await pause(step.forMs, new AbortController().signal)
    mesh.thaw(process)
  }
  return { process, kind, fromMs, untilMs: Date.now() }
}

function describe(outcome: Outcome, disturbances: readonly Disturbance[]): string {
  const near = disturbances
    .map(({ kind, process, fromMs }) => `${String(outcome.sentAtMs - fromMs)} ms after ${kind} ${process}`)
    .join(', ')
  const took = outcome.endedAtMs - outcome.sentAtMs
  return `${outcome.protocol} request to ${outcome.model} failed after ${String(took)} ms, sent ${near || 'undisturbed'}: ${outcome.status} ${outcome.detail}`
}
