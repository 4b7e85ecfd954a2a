/** Real Envoys that follow IR over xDS, before endpoints that one of them answers for itself: splits without models. */
import { toBootstrap } from '../../envoy/bootstrap.ts'
import type { ChangeIr, EndpointSetIr, RouteIr, SplitIr } from '../../xds/index.ts'
import { freePorts } from './free-ports.ts'
import { type StaticEnvoy, startStaticEnvoy } from './static-envoy.ts'
import { WASM_FOLDER } from './wasm-bootstrap.ts'
import { change, startXds, type XdsScene } from './xds-scene.ts'

export interface SplitScene {
  /** The ingress. */
  readonly port: number
  readonly envoy: StaticEnvoy
  readonly xds: XdsScene
  /** Gives it a change and waits until Envoy has ACKed it. */
  apply(parts: Partial<ChangeIr>): Promise<void>
  stop(): Promise<void>
}

const NODE = 'envoy-0'

/** The endpoint set `instant` is answered by this Envoy itself, 200 and at once. */
export async function startSplitScene(workers: number): Promise<SplitScene> {
  const [port = 0, adminPort = 0, instantPort = 0] = await freePorts(3)
  const xds = await startXds({ port, wasmFolder: WASM_FOLDER })
  const instant: EndpointSetIr = {
    id: 'instant',
    nameSource: 'header',
    endpoints: [
      { id: 'instant/0', address: '127.0.0.1', restPort: instantPort, grpcPort: instantPort, health: 'healthy' },
    ],
  }
  let revision = 1
  xds.xds.load(change(revision, { upsertEndpointSets: [instant], splits: [] }))
  const bootstrap = toBootstrap({ nodeId: NODE, xds: [{ address: '127.0.0.1', port: xds.port }], adminPort })
  const statics = bootstrap['static_resources'] as object
  const envoy = await startStaticEnvoy(
    { ...bootstrap, static_resources: { ...statics, listeners: [toInstantListener(instantPort)] } },
    adminPort,
    workers,
  )
  const apply = async (parts: Partial<ChangeIr>) => {
    revision += 1
    xds.xds.update(change(revision, parts))
    await xds.acked(NODE, revision)
    if (xds.refusals.length > 0) throw new Error(`Envoy refuses: ${JSON.stringify(xds.refusals)}`)
  }
  return {
    port,
    envoy,
    xds,
    apply,
    stop: async () => {
      await envoy.stop()
      await xds.stop()
    },
  }
}

/** A target whose version 1 is on that set. */
export const routeOf = (target: string, endpointSetId = 'instant'): RouteIr => {
  const internalName = target.includes('.') ? target : `${target}_1`
  return {
    target,
    destinations: [{ endpointSetId, internalName, routeToken: `:${internalName}:`, weight: 1 }],
    timeoutMs: 0,
  }
}

export const splitOf = (
  target: string,
  weights: Readonly<Record<string, number>>,
  parts: Partial<SplitIr> = {},
): SplitIr => ({
  target,
  seed: 'exp',
  candidates: Object.entries(weights).map(([name, weight]) => ({ target: name, weight })),
  ...parts,
})

function toInstantListener(port: number): object {
  return {
    name: 'instant',
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: 'instant',
              route_config: {
                virtual_hosts: [
                  {
                    name: 'all',
                    domains: ['*'],
                    routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
                  },
                ],
              },
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                },
              ],
            },
          },
        ],
      },
    ],
  }
}
