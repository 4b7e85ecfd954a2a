/** One set of security options for everything that `millrace up` starts. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { ServingError } from '../kit/errors.ts'
import { loadCallerSecurity } from '../kit/grpc-security.ts'
import { silentLogger } from '../kit/log.ts'
import { type ListenerOptions, loadSecurity } from '../kit/security.ts'
import type { Readiness } from './supervisor/spec.ts'

/** Paths are absolute. */
export interface MeshSecurity {
  readonly tokenFile?: string
  /** What it holds: Envoy takes no file for it. */
  readonly token?: string
  readonly tls?: MeshTls
}

export interface MeshTls {
  /** Of every process. */
  readonly cert: string
  readonly key: string
  /** Processes call each other: whom they trust. */
  readonly ca: string
  /** Callers must show a certificate of it. */
  readonly clientCa?: string
  readonly identity?: { readonly cert: string; readonly key: string }
  /** The ingress speaks TLS, too. */
  readonly ingress: boolean
}

type Options = Pick<ListenerOptions, 'tokenFile' | 'tlsCert' | 'tlsKey' | 'tlsClientCa'> & Callers
interface Callers {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly tokenFile?: string
}

/** Reads every file once, so that what is wrong is said here and not by each process. @throws ServingError CONFIG_INVALID */
export function loadMeshSecurity(options: Options & { readonly ingressTls: boolean }): MeshSecurity {
  loadSecurity(options, '127.0.0.1', silentLogger)
  loadCallerSecurity(options, silentLogger)
  const { tokenFile, tlsCert, tlsKey, tlsClientCa, ca, cert, key, ingressTls } = options
  const token = tokenFile === undefined ? {} : readToken(resolve(tokenFile))
  if (tlsCert === undefined || tlsKey === undefined) {
    if (ingressTls || (ca ?? cert) !== undefined)
      throw new ServingError('CONFIG_INVALID', '--ca, --cert and --ingress-tls need --tls-cert and --tls-key')
    return token
  }
  if (ca === undefined)
    throw new ServingError('CONFIG_INVALID', '--tls-cert needs --ca, its authority: the processes call each other')
  if (tlsClientCa !== undefined && cert === undefined)
    throw new ServingError(
      'CONFIG_INVALID',
      '--tls-client-ca needs --cert and --key, which the processes show each other',
    )
  const tls: MeshTls = {
    cert: resolve(tlsCert),
    key: resolve(tlsKey),
    ca: resolve(ca),
    ...(tlsClientCa === undefined ? {} : { clientCa: resolve(tlsClientCa) }),
    ...(cert === undefined || key === undefined ? {} : { identity: { cert: resolve(cert), key: resolve(key) } }),
    ingress: ingressTls,
  }
  return { ...token, tls }
}

const readToken = (tokenFile: string) => ({ tokenFile, token: readFileSync(tokenFile, 'utf8').trim() })

/** Of a process that listens. */
export const toListenerFlags = (security: MeshSecurity | undefined): Readonly<Record<string, string>> => ({
  ...(security?.tokenFile && { 'token-file': security.tokenFile }),
  ...toTlsFlags(security),
})

/** Of a port that asks for no token: the data path. */
export const toTlsFlags = ({ tls }: MeshSecurity = {}): Readonly<Record<string, string>> =>
  tls === undefined
    ? {}
    : { 'tls-cert': tls.cert, 'tls-key': tls.key, ...(tls.clientCa && { 'tls-client-ca': tls.clientCa }) }

/** Of a process, or a command, that calls others. */
export function toCallerFlags(security: MeshSecurity | undefined, token?: 'with token'): Record<string, string> {
  const { tokenFile, ...callers } = toCallers(security ?? {})
  return { ...callers, ...(token === undefined || tokenFile === undefined ? {} : { 'token-file': tokenFile }) }
}

/** The same for clients in this process. */
export const toCallers = ({ tokenFile, tls }: MeshSecurity): Callers => ({
  ...(tokenFile && { tokenFile }),
  ...(tls && { ca: tls.ca, ...tls.identity }),
})

/** Of the scheduler: what it tells Envoy. */
export function toEnvoyFlags({ tls }: MeshSecurity = {}): Readonly<Record<string, string>> {
  if (tls === undefined) return {}
  const { ca, cert, key, identity, ingress } = tls
  return {
    'upstream-ca': ca,
    ...(identity && { 'upstream-cert': identity.cert, 'upstream-key': identity.key }),
    ...(ingress && { 'ingress-tls-cert': cert, 'ingress-tls-key': key }),
  }
}

/** Of Envoy: how it calls the scheduler. */
export const toBootstrapSecurity = ({ token, tls }: MeshSecurity = {}) => ({
  ...(token === undefined ? {} : { token }),
  ...(tls && { tls: { ca: tls.ca, ...tls.identity } }),
})

/** How to tell that a process of ours serves. */
export function toHealth(security: MeshSecurity | undefined, host: string, port: number, path: string): Readiness {
  const tls = security?.tls
  const url = `${tls === undefined ? 'http' : 'https'}://${host}:${String(port)}${path}`
  return { kind: 'http', url, ...(tls && { tls: { ca: tls.ca, ...tls.identity } }) }
}
