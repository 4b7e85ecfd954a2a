/** What the options say of TLS on both sides of Envoy. */
import { ServingError } from '../kit/errors.ts'
import { isLoopback } from '../kit/security.ts'
import type { ListenerOptions } from '../xds/index.ts'
import type { SchedulerConfig } from './config.ts'

/** @throws ServingError CONFIG_INVALID */
export function toEnvoyTls(config: SchedulerConfig): Pick<ListenerOptions, 'ingressTls' | 'upstreamTls'> {
  const { ingressTlsClientCa: clientCaFile, upstreamCa: caFile, upstreamName: name } = config
  const ingress = toIdentity('--ingress-tls-cert', config.ingressTlsCert, '--ingress-tls-key', config.ingressTlsKey)
  const identity = toIdentity('--upstream-cert', config.upstreamCert, '--upstream-key', config.upstreamKey)
  if (ingress === undefined && clientCaFile !== undefined)
    throw new ServingError('CONFIG_INVALID', '--ingress-tls-client-ca needs --ingress-tls-cert and --ingress-tls-key')
  if (caFile === undefined && (identity !== undefined || name !== undefined))
    throw new ServingError('CONFIG_INVALID', '--upstream-cert, --upstream-key and --upstream-name need --upstream-ca')
  if (ingress === undefined && config.insecure !== true && !isLoopback(config.ingressHost))
    throw new ServingError(
      'CONFIG_INVALID',
      `--ingress-host ${config.ingressHost} can be reached from elsewhere in plain text: give --ingress-tls-cert and --ingress-tls-key, put a proxy that speaks TLS before an ingress on 127.0.0.1, or say --insecure`,
    )
  return {
    ...(ingress && { ingressTls: { ...ingress, ...(clientCaFile && { clientCaFile }) } }),
    ...(caFile && { upstreamTls: { caFile, ...(name && { name }), ...(identity && { identity }) } }),
  }
}

function toIdentity(
  certFlag: string,
  certFile: string | undefined,
  keyFlag: string,
  keyFile: string | undefined,
): { readonly certFile: string; readonly keyFile: string } | undefined {
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile }
  if (certFile === undefined && keyFile === undefined) return undefined
  throw new ServingError('CONFIG_INVALID', `${certFlag} and ${keyFlag} belong together`)
}
