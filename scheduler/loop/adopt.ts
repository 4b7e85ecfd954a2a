/** Reading everything again while running. Pure. */
import type { ClusterState } from '../domain/cluster.ts'
import type { StoreSnapshot, Write } from '../domain/store.ts'

/** The writes that make the documents in memory those of the snapshot. */
export function toWrites(cluster: ClusterState, found: StoreSnapshot): Write[] {
  const expectedRevision = 0 // not a commit: nothing is compared
  const models = new Set(found.models.map((model) => model.name))
  const replicas = new Set(found.replicas.map((replica) => replica.key))
  const servers = new Set(found.servers.map((server) => server.name))
  const pipelines = new Set(found.pipelines.map((pipeline) => pipeline.name))
  const experiments = new Set(found.experiments.map((experiment) => experiment.name))
  const gateways = new Set(found.gateways.map((gateway) => gateway.name))
  const observed = new Set(found.observed.map(({ replica, document }) => `${replica} ${document.internalName}`))
  const gone: Write[] = [
    ...[...cluster.models()].filter(({ name }) => !models.has(name)).map(({ name }) => deletion('model', name)),
    ...cluster
      .serverNames()
      .filter((name) => cluster.server(name) !== undefined && !servers.has(name))
      .map((name) => deletion('server', name)),
    ...[...cluster.pipelines()]
      .filter(({ name }) => !pipelines.has(name))
      .map(({ name }) => deletion('pipeline', name)),
    ...[...cluster.experiments()]
      .filter(({ name }) => !experiments.has(name))
      .map(({ name }) => deletion('experiment', name)),
    ...[...cluster.gateways()].filter(({ name }) => !gateways.has(name)).map(({ name }) => deletion('gateway', name)),
    ...[...cluster.replicas()].flatMap(({ key }): Write[] => [
      ...[...cluster.observedOn(key).keys()]
        .filter((name) => !observed.has(`${key} ${name}`))
        .map((name): Write => ({ kind: 'observed', replica: key, name, document: undefined })),
      ...(replicas.has(key) ? [] : [{ kind: 'replica', name: key, expectedRevision, document: undefined } as const]),
    ]),
  ]
  return [
    ...found.servers.map((document): Write => ({ kind: 'server', name: document.name, expectedRevision, document })),
    ...found.replicas.map((document): Write => ({ kind: 'replica', name: document.key, expectedRevision, document })),
    ...found.observed.map(({ replica, document }): Write => ({
      kind: 'observed',
      replica,
      name: document.internalName,
      document,
    })),
    ...found.models.map((document): Write => ({ kind: 'model', name: document.name, expectedRevision, document })),
    ...found.pipelines.map((document): Write => ({
      kind: 'pipeline',
      name: document.name,
      expectedRevision,
      document,
    })),
    ...found.experiments.map((document): Write => ({
      kind: 'experiment',
      name: document.name,
      expectedRevision,
      document,
    })),
    ...found.gateways.map((document): Write => ({ kind: 'gateway', name: document.name, expectedRevision, document })),
    ...gone,
  ]
}

const deletion = (kind: 'model' | 'server' | 'pipeline' | 'experiment' | 'gateway', name: string): Write => ({
  kind,
  name,
  expectedRevision: 0,
  document: undefined,
})
