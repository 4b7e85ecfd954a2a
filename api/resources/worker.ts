/** A process that runs pipelines or models for the leading scheduler, as its administration API tells of it. */
export const WORKER_ROLES = ['pipeline-gateway', 'engine', 'model-gateway'] as const
export type WorkerRoleName = (typeof WORKER_ROLES)[number]

export interface WorkerUnit {
  readonly name: string
  /** Records of its inputs that are not done; absent: not told yet, or it reads none. */
  readonly lagRecords?: number
}

export interface Worker {
  readonly role: WorkerRoleName
  readonly name: string
  /** ISO 8601. */
  readonly connectedSince: string
  /** It is about to stop. */
  readonly draining: boolean
  /** Pipelines that a pipeline gateway answers or an engine reads, models that a model gateway reads; by name. */
  readonly units: readonly WorkerUnit[]
  /** What is wrong with the journal of a pipeline gateway; empty: nothing. */
  readonly journalRemark?: string
}

/** Undefined: nobody has told yet. */
export function lagOf({ units }: Pick<Worker, 'units'>): number | undefined {
  const known = units.flatMap(({ lagRecords }) => lagRecords ?? [])
  return known.length === 0 ? undefined : known.reduce((sum, lag) => sum + lag, 0)
}
