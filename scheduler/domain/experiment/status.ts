/** What is said of an experiment. Pure. */
import type { ExperimentDocument, ExperimentStatusDocument, ExperimentTargetDocument } from '../documents.ts'
import { sameValue } from '../same-value.ts'

/** The words that clients of the compatible API know. */
const ACTIVE = 'experiment active'

interface Targets {
  readonly candidates: readonly ExperimentTargetDocument[]
  readonly mirror: ExperimentTargetDocument | undefined
}

interface Acks {
  readonly nowMs: number
  readonly isAcked: (revision: number) => boolean | 'no-node'
  readonly heldNodes: () => readonly string[]
}

/** `changedAtMs` moves only when something else does. */
export function toExperimentStatus(
  experiment: ExperimentDocument,
  { candidates, mirror }: Targets,
  acks: Acks,
): ExperimentStatusDocument {
  const { changedAtMs, ...before } = experiment.status
  const lack = lackOf(experiment, { candidates, mirror }, acks)
  const after = {
    active: lack === undefined,
    reason: lack ?? ACTIVE,
    candidates: candidates.map(toDocument),
    ...(mirror === undefined ? {} : { mirror: toDocument(mirror) }),
  }
  return { ...after, changedAtMs: sameValue(before, after) ? changedAtMs : acks.nowMs }
}

const toDocument = ({ name, ready, reason }: ExperimentTargetDocument): ExperimentTargetDocument => ({
  name,
  ready,
  reason,
})

/** Why it is not active; undefined when it is. */
function lackOf(experiment: ExperimentDocument, { candidates, mirror }: Targets, acks: Acks): string | undefined {
  const { activated, route } = experiment
  const missing = [...candidates, ...(mirror === undefined ? [] : [mirror])].filter(({ ready }) => !ready)
  if (missing.length > 0) {
    const names = missing.map(({ name, reason }) => `${name} is not ready (${reason})`).join('; ')
    if (activated === undefined) return `waits until all are ready once: ${names}`
    if (route === undefined) return `${names}: without traffic until then, and so is the experiment`
    const isAnswered = route.candidates.some(({ name }) => candidates.some((one) => one.name === name && one.ready))
    return isAnswered
      ? `${names}: without traffic until then, its share goes to the others`
      : `${names}: requests still go there, because no candidate can answer, and get 503 until one is ready`
  }
  if (route === undefined) return 'there is nothing to send requests to: add a candidate'
  if (route.ackedAtMs !== undefined || route.continues === true) return undefined
  if (acks.isAcked(route.sinceRevision) === 'no-node')
    return 'no Envoy connected that answers: start one that uses this scheduler, or see its log'
  const held = acks.heldNodes()
  return held.length === 0
    ? "waits for Envoy's ACK of its table"
    : `${held.join(', ')} is sent nothing, because too much of what it has is unknown here: apply it, or start the scheduler with --force`
}
