import { describe, expect, test } from 'vitest'
import { createClusterState } from '../../../../scheduler/domain/cluster.ts'
import type { DocumentChange } from '../../../../scheduler/domain/document-change.ts'
import type { GatewayDocument, PipelineDocument } from '../../../../scheduler/domain/documents.ts'
import { createRoutingProjection } from '../../../../scheduler/routing/projection.ts'
import type { ChangeIr } from '../../../../xds/index.ts'
import { aGateway, aPipelineVersion, pipelineWith } from '../../../support/pipelines.ts'

const routed = (name: string, fields: Partial<PipelineDocument> = {}): PipelineDocument =>
  pipelineWith(name, { serving: 1, route: { sinceRevision: 1 }, ...fields })

function aMesh() {
  const cluster = createClusterState()
  const projection = createRoutingProjection(cluster)
  projection.full(0)
  let revision = 0
  const project = (change: DocumentChange | undefined): ChangeIr => {
    revision += 1
    return projection.project(change === undefined ? [] : [change], revision)
  }
  return {
    projection,
    pipeline: (name: string, document: PipelineDocument | undefined) =>
      project(cluster.apply({ kind: 'pipeline', name, expectedRevision: 0, document })),
    gateway: (name: string, document: GatewayDocument | undefined) =>
      project(cluster.apply({ kind: 'gateway', name, expectedRevision: 0, document })),
  }
}
const nothing = {
  revision: expect.any(Number) as number,
  upsertRoutes: [],
  removeTargets: [],
  upsertEndpointSets: [],
  removeEndpointSetIds: [],
}
const endpoint = (name: string, health: string) => ({
  id: `pipeline-gateway/${name}`,
  address: '127.0.0.1',
  restPort: 9_011,
  grpcPort: 9_012,
  health,
})
const gateways = (...endpoints: readonly object[]) => [{ id: 'pipeline-gateway', nameSource: 'header', endpoints }]
const routeOf = (name: string) => ({
  target: `${name}.pipeline`,
  destinations: [
    {
      endpointSetId: 'pipeline-gateway',
      internalName: `${name}.pipeline`,
      routeToken: `:${name}.pipeline:`,
      weight: 1,
    },
  ],
  timeoutMs: 0,
  retries: 'unsent',
})

describe('the routes of pipelines', () => {
  test('lead to the set of all gateways, which comes with the first and goes with the last', () => {
    const mesh = aMesh()
    expect(mesh.gateway('a', aGateway('a'))).toEqual(nothing)
    expect(mesh.pipeline('p', routed('p'))).toEqual({
      ...nothing,
      upsertRoutes: [routeOf('p')],
      upsertEndpointSets: gateways(endpoint('a', 'healthy')),
    })
    expect(mesh.pipeline('q', routed('q'))).toEqual({ ...nothing, upsertRoutes: [routeOf('q')] })
    expect(mesh.pipeline('p', pipelineWith('p'))).toEqual({ ...nothing, removeTargets: ['p.pipeline'] })
    expect(mesh.pipeline('q', undefined)).toEqual({
      ...nothing,
      removeTargets: ['q.pipeline'],
      removeEndpointSetIds: ['pipeline-gateway'],
    })
    expect(mesh.projection.routeCount()).toBe(0)
  })

  test('are none before a version serves', () => {
    const mesh = aMesh()
    mesh.gateway('a', aGateway('a'))
    expect(mesh.pipeline('p', pipelineWith('p'))).toEqual(nothing)
  })

  test('stay as they are when the version changes', () => {
    const mesh = aMesh()
    mesh.pipeline('p', routed('p'))
    const versions = [aPipelineVersion(1), aPipelineVersion(2)]
    expect(mesh.pipeline('p', routed('p', { versions, serving: 2 }))).toEqual(nothing)
  })

  test('stay as they are when gateways come, are lost, stop and go: their set alone changes', () => {
    const mesh = aMesh()
    mesh.gateway('b', aGateway('b'))
    mesh.pipeline('p', routed('p'))
    const after = (name: string, document: GatewayDocument | undefined) => mesh.gateway(name, document)
    expect(after('a', aGateway('a', { ready: false }))).toEqual({
      ...nothing,
      upsertEndpointSets: gateways(endpoint('a', 'unhealthy'), endpoint('b', 'healthy')),
    })
    expect(after('a', aGateway('a', { ready: false, hasJournal: true }))).toEqual(nothing) // not Envoy's
    const lost = { kind: 'lost', sinceMs: 1 } as const
    expect(after('b', aGateway('b', { stream: lost }))).toEqual(nothing)
    expect(after('b', aGateway('b', { stream: lost, draining: true })).upsertEndpointSets).toEqual(
      gateways(endpoint('a', 'unhealthy'), endpoint('b', 'draining')),
    )
    expect(after('b', undefined).upsertEndpointSets).toEqual(gateways(endpoint('a', 'unhealthy')))
  })

  test('are all given at a start, with their set', () => {
    const cluster = createClusterState()
    cluster.apply({ kind: 'pipeline', name: 'p', expectedRevision: 0, document: routed('p') })
    cluster.apply({ kind: 'gateway', name: 'a', expectedRevision: 0, document: aGateway('a') })
    const change = createRoutingProjection(cluster).full(7)
    expect(change.upsertRoutes).toContainEqual(routeOf('p'))
    expect(change.upsertEndpointSets).toEqual(expect.arrayContaining(gateways(endpoint('a', 'healthy'))))
  })
})
