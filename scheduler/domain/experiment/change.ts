/** What applying and deleting an Experiment does to its record. Applying again replaces: there are no versions. Pure. */
import type { ClusterState } from '../cluster.ts'
import { type ExperimentDocument, type KubernetesMeta, SCHEMA_VERSION } from '../documents.ts'
import { sameValue } from '../same-value.ts'

/** An Experiment that may be applied. */
export interface ExperimentInput {
  readonly name: string
  readonly spec: ExperimentDocument['spec']
  readonly labels: Readonly<Record<string, string>>
  readonly kubernetesMeta?: KubernetesMeta
}

export type ExperimentChange =
  | { readonly kind: 'unchanged'; readonly document: ExperimentDocument }
  | { readonly kind: 'created' | 'updated'; readonly document: ExperimentDocument }

/** What is being deleted comes back as if it was new. */
export function applyExperiment(
  existing: ExperimentDocument | undefined,
  input: ExperimentInput,
  nowMs: number,
): ExperimentChange {
  const { name, spec, labels, kubernetesMeta } = input
  if (existing === undefined || existing.deleted) {
    const status = { active: false, reason: 'Accepted', candidates: [], changedAtMs: nowMs }
    const document: ExperimentDocument = {
      schemaVersion: SCHEMA_VERSION,
      revision: existing?.revision ?? 0,
      name,
      labels,
      deleted: false,
      spec,
      ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }),
      createdAtMs: nowMs,
      status,
    }
    return { kind: 'created', document }
  }
  const isSame = sameValue(existing.spec, spec)
  const document = {
    ...existing,
    labels,
    spec,
    ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }),
    // What the new one says is true only once Envoy follows it.
    ...(isSame ? {} : { status: { ...existing.status, active: false, reason: 'Accepted', changedAtMs: nowMs } }),
  }
  return sameValue(document, existing) ? { kind: 'unchanged', document: existing } : { kind: 'updated', document }
}

/** Marks an Experiment for deletion; it ends when no request follows it any more. Repeating it changes nothing. */
export function deleteExperiment(experiment: ExperimentDocument, nowMs: number): ExperimentDocument {
  if (experiment.deleted) return experiment
  const status = { ...experiment.status, active: false, reason: 'Deleted: what it split goes back', changedAtMs: nowMs }
  return { ...experiment, deleted: true, status }
}

/** The other experiment that has taken over the endpoint of this default, if there is one. */
export function holderOfDefault(
  cluster: Pick<ClusterState, 'dependentsOf' | 'experiment'>,
  { name, spec }: Pick<ExperimentDocument, 'name' | 'spec'>,
): string | undefined {
  const { default: baseline, resourceType = 'model' } = spec
  if (baseline === undefined) return undefined
  return experimentsOf(cluster, resourceType, baseline).find(
    (other) => other !== name && cluster.experiment(other)?.spec.default === baseline,
  )
}

/** Names of the experiments that send to this model or pipeline, sorted; those being deleted do not count. */
export function experimentsOf(
  cluster: Pick<ClusterState, 'dependentsOf' | 'experiment'>,
  kind: 'model' | 'pipeline',
  name: string,
): readonly string[] {
  return [...cluster.dependentsOf(kind, name)]
    .filter((key) => key.startsWith('experiment/'))
    .map((key) => key.slice('experiment/'.length))
    .filter((experiment) => cluster.experiment(experiment)?.deleted === false)
    .toSorted()
}
