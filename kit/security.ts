/**
 * Who may call a listener of ours, and over what: a bearer token from a file, TLS, certificates of clients. Every process takes
 * the same options. Files are read again when they change.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { statSync } from 'node:fs'
import { type Static, Type } from 'typebox'
import { readOption, watchCertificates, type WatchedCertificates } from './certificates.ts'
import { ServingError } from './errors.ts'
import type { Logger } from './log.ts'

const path = (description: string) => Type.Optional(Type.String({ minLength: 1, description }))

/** What one token file says, for those who ask and those who answer. */
const TOKEN_FILE = path('File with the bearer token: asked of callers, sent to peers. Read again when it changes.')

/** Options of a process that listens. */
export const listenerOptions = {
  tokenFile: TOKEN_FILE,
  tlsCert: path('Certificate (PEM) of this process; its ports then speak TLS only.'),
  tlsKey: path('Key (PEM) of that certificate.'),
  tlsClientCa: path('Certificate authority (PEM): callers must show a certificate that it signed.'),
  insecure: Type.Optional(
    Type.Boolean({ description: 'Listen beyond loopback without TLS, or without a token or client certificates.' }),
  ),
}

/** Options of a process that calls others, beside the token file. */
export const callerOptions = {
  ca: path('Certificate authority (PEM) of the peers; they are then called over TLS.'),
  cert: path('Certificate (PEM) to show to peers.'),
  key: path('Key (PEM) of that certificate.'),
}

export type ListenerOptions = Readonly<Partial<Static<ReturnType<typeof toObject>>>>
const toObject = () => Type.Object(listenerOptions)

export interface Security {
  /** Of this process; with a `ca` it asks callers for a certificate of it. */
  readonly tls: WatchedCertificates | undefined
  /** Whether an `authorization` header or metadata entry opens the door. */
  readonly admits: (authorization: string | undefined) => boolean
}

/** Everybody may call, in plain text: on loopback. */
export const OPEN: Security = { tls: undefined, admits: () => true }

/** Of a process that listens on `host`. @throws ServingError CONFIG_INVALID naming the option and what to do */
export function loadSecurity(options: ListenerOptions, host: string, log: Logger): Security {
  const { tokenFile } = options
  const tls = loadTls(options, log)
  if (options.insecure !== true) refuseOpenDoor(options, host)
  if (tokenFile === undefined) return { tls, admits: () => true }
  const token = watchToken(tokenFile, log)
  return { tls, admits: (authorization) => isBearer(authorization, token()) }
}

/** Of a port of the data path, which Envoy calls: by certificates alone. @throws ServingError CONFIG_INVALID */
export function loadDataPathSecurity(options: ListenerOptions, host: string, what: string, log: Logger): Security {
  const tls = loadTls(options, log)
  if (options.insecure !== true && (tls === undefined || options.tlsClientCa === undefined)) refusePlainText(host, what)
  return { tls, admits: () => true }
}

function loadTls({ tlsCert, tlsKey, tlsClientCa }: ListenerOptions, log: Logger): WatchedCertificates | undefined {
  if ((tlsCert ?? tlsKey ?? tlsClientCa) === undefined) return undefined
  if (tlsCert === undefined || tlsKey === undefined)
    throw new ServingError('CONFIG_INVALID', '--tls-cert and --tls-key belong together, --tls-client-ca needs both')
  const files = {
    cert: { flag: '--tls-cert', file: tlsCert },
    key: { flag: '--tls-key', file: tlsKey },
    ca: { flag: '--tls-client-ca', file: tlsClientCa },
  }
  return watchCertificates(files, log)
}

function refuseOpenDoor({ tokenFile, tlsCert, tlsClientCa }: ListenerOptions, host: string): void {
  if (isLoopback(host)) return
  const missing = [
    ...(tlsCert === undefined ? ['TLS (--tls-cert, --tls-key)'] : []),
    ...(tokenFile === undefined && tlsClientCa === undefined ? ['a token (--token-file) or --tls-client-ca'] : []),
  ]
  if (missing.length === 0) return
  throw new ServingError(
    'CONFIG_INVALID',
    `--host ${host} can be reached from elsewhere and lacks ${missing.join(' and ')}: give them, listen on 127.0.0.1, or say --insecure`,
  )
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)

/** The token as it is now. A file that cannot be read later leaves the token that was there. @throws ServingError CONFIG_INVALID */
export function watchToken(file: string, log: Logger): () => string {
  let stamp = stampOf(file)
  let token = parseToken(file)
  return () => {
    const now = stampOf(file)
    if (now === stamp) return token
    stamp = now
    try {
      token = parseToken(file)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.error({ error: reason }, 'the replaced token cannot be used; the old one stays') // its next change is read again
    }
    return token
  }
}

function parseToken(file: string): string {
  const token = readOption('--token-file', file).toString('utf8').trim()
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new ServingError('CONFIG_INVALID', `--token-file ${file}: must hold one token, of visible ASCII characters`)
}

function stampOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat === undefined ? '' : `${String(stat.mtimeMs)}/${String(stat.size)}/${String(stat.ino)}`
}

/** Takes the same time whatever is wrong with what was sent. */
function isBearer(authorization: string | undefined, token: string): boolean {
  const sent = /^Bearer +(?<sent>\S+) *$/i.exec(authorization ?? '')?.groups?.['sent'] ?? ''
  return timingSafeEqual(digest(sent), digest(token))
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

export const notAdmitted = (): ServingError =>
  new ServingError('UNAUTHENTICATED', 'a token is needed: send "authorization: Bearer <token>"')

function refusePlainText(host: string, what: string): void {
  if (isLoopback(host)) return
  throw new ServingError(
    'CONFIG_INVALID',
    `--host ${host} can be reached from elsewhere, and ${what} would answer everybody: give --tls-cert, --tls-key and --tls-client-ca, listen on 127.0.0.1, or keep it to a private network and say --insecure`,
  )
}
