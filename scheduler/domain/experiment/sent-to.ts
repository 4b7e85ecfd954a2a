/**
 * Which models the tables of experiments name. I1: a model that is scaled to zero keeps its route and its copies until no table names
 * it any more; else what a table still sends there would find nothing.
 */
import type { ClusterView } from '../cluster.ts'
import type { ExperimentDocument } from '../documents.ts'

/** Models that Envoy may be sent to by this experiment. */
export function modelsSentTo(experiment: ExperimentDocument | undefined): readonly string[] {
  const { route } = experiment ?? {}
  if (route?.resourceType !== 'model') return []
  return [...route.candidates.map(({ name }) => name), ...(route.mirror === undefined ? [] : [route.mirror.name])]
}

export function isSentTo(model: string, cluster: Pick<ClusterView, 'experiment' | 'dependentsOf'>): boolean {
  return [...cluster.dependentsOf('model', model)].some((key) => {
    const experiment = key.startsWith('experiment/') ? cluster.experiment(key.slice('experiment/'.length)) : undefined
    return modelsSentTo(experiment).includes(model)
  })
}
