/**
 * TLS on both sides of Envoy. Which endpoints speak it is said by each endpoint, so replicas change over one by one and the clusters that
 * they share stay as they are. All paths are those of files on Envoy's machine: what they hold is never in a resource.
 */
import type { Json } from '../proto/encode.ts'
import { type Protocol, typeUrl } from './names.ts'

/** Between Envoy and what answers. */
export interface UpstreamTls {
  /** Certificates must be of this authority. */
  readonly caFile: string
  /** A DNS name that they must carry, too. */
  readonly name?: string
  /** What Envoy shows. */
  readonly identity?: { readonly certFile: string; readonly keyFile: string }
}

/** Between clients and Envoy. */
export interface IngressTls {
  readonly certFile: string
  readonly keyFile: string
  /** Clients must show a certificate of this authority. */
  readonly clientCaFile?: string
}

/** On endpoints that speak TLS, and what clusters look for on them. */
export const TLS_MATCH = { tls: true } as const

const SOCKET = 'envoy.transport_sockets.tls'
const ALPN: Readonly<Record<Protocol, string>> = { rest: 'http/1.1', grpc: 'h2' }

export const toTlsMatch = (tls: UpstreamTls, protocol: Protocol): Json => ({
  name: 'tls',
  match: TLS_MATCH,
  transport_socket: {
    name: SOCKET,
    typed_config: {
      '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
      common_tls_context: {
        alpn_protocols: [ALPN[protocol]],
        validation_context: {
          trusted_ca: file(tls.caFile),
          ...(tls.name === undefined
            ? {}
            : { match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: tls.name } }] }),
        },
        ...(tls.identity === undefined ? {} : toIdentity(tls.identity)),
      },
      ...(tls.name === undefined ? {} : { sni: tls.name }),
    },
  },
})

export const toIngressSocket = (tls: IngressTls): Json => ({
  name: SOCKET,
  typed_config: {
    '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
    common_tls_context: {
      alpn_protocols: ['h2', 'http/1.1'],
      ...toIdentity(tls),
      ...(tls.clientCaFile === undefined ? {} : { validation_context: { trusted_ca: file(tls.clientCaFile) } }),
    },
    ...(tls.clientCaFile === undefined ? {} : { require_client_certificate: true }),
  },
})

const toIdentity = ({ certFile, keyFile }: { readonly certFile: string; readonly keyFile: string }): Json => ({
  tls_certificates: [{ certificate_chain: file(certFile), private_key: file(keyFile) }],
})

const file = (filename: string): Json => ({ filename })
