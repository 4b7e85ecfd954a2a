/** What Envoy is started with: who it is, where its scheduler is. Everything else comes over xDS. */

export interface BootstrapOptions {
  /** Tells this Envoy from others in the scheduler's status. */
  readonly nodeId: string
  /** IP addresses of the schedulers' xDS ports, tried in turn. */
  readonly xds: readonly { readonly address: string; readonly port: number }[]
  /** The admin port answers on loopback only: it can stop Envoy. */
  readonly adminPort: number
  /** Paths of PEM files, as Envoy sees them; present: xDS over TLS. Envoy reads them again when they are moved into place. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string }
  /** The scheduler's bearer token; stands in the bootstrap as it is. */
  readonly token?: string
}

/** The 14 buckets that users of the metric know, 5 ms to 10 s, in the unit of the filter's histogram. */
const DURATION_BUCKETS_US = [
  5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000, 5_000_000, 7_500_000,
  10_000_000,
]

const ADS = { ads: {}, resource_api_version: 'V3' }
const XDS_CLUSTER = 'xds'

/** The bootstrap as an object in Envoy's JSON form, which is also YAML. */
export function toBootstrap(options: BootstrapOptions): Readonly<Record<string, unknown>> {
  return {
    node: { id: options.nodeId, cluster: 'millrace' },
    admin: { address: toAddress('127.0.0.1', options.adminPort) },
    dynamic_resources: { ads_config: toAdsConfig(options.token), cds_config: ADS, lds_config: ADS },
    static_resources: { clusters: [toXdsCluster(options)] },
    // Histograms are read as they were at the last flush: rollouts judge windows of seconds. Nothing is sent anywhere.
    stats_flush_interval: '1s',
    stats_config: {
      histogram_bucket_settings: [
        { match: { prefix: 'wasmcustom.millrace.duration_us' }, buckets: DURATION_BUCKETS_US },
      ],
    },
  }
}

const toAdsConfig = (token: string | undefined): object => ({
  api_type: 'DELTA_GRPC',
  transport_api_version: 'V3',
  set_node_on_first_message_only: true,
  grpc_services: [
    {
      envoy_grpc: {
        cluster_name: XDS_CLUSTER,
        // By default a restarted scheduler is found again after 1.3 to 2.3 s; with this after 0.4 to 0.8 s.
        retry_policy: { retry_back_off: { base_interval: '0.1s', max_interval: '1s' } },
      },
      ...(token === undefined ? {} : { initial_metadata: [{ key: 'authorization', value: `Bearer ${token}` }] }),
    },
  ],
})

function toXdsCluster({ xds, tls }: BootstrapOptions): object {
  return {
    name: XDS_CLUSTER,
    type: 'STATIC',
    connect_timeout: '1s',
    ...(tls === undefined ? {} : { transport_socket: toTlsSocket(tls) }),
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: {
          http2_protocol_options: { connection_keepalive: { interval: '5s', timeout: '3s' } },
        },
      },
    },
    load_assignment: {
      cluster_name: XDS_CLUSTER,
      endpoints: [
        { lb_endpoints: xds.map(({ address, port }) => ({ endpoint: { address: toAddress(address, port) } })) },
      ],
    },
  }
}

function toTlsSocket({ ca, cert, key }: NonNullable<BootstrapOptions['tls']>): object {
  const file = (filename: string): object => ({ filename })
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      common_tls_context: {
        alpn_protocols: ['h2'],
        validation_context: { trusted_ca: file(ca) },
        ...(cert === undefined || key === undefined
          ? {}
          : { tls_certificates: [{ certificate_chain: file(cert), private_key: file(key) }] }),
      },
    },
  }
}

function toAddress(address: string, port: number): object {
  return { socket_address: { address, port_value: port } }
}
