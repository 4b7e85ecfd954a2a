/** What every command gets: where the scheduler and the ingress are, how to print, and the clients. */
import { type Command, Option } from 'commander'
import { ServingError } from '../kit/errors.ts'
import type { WatchedCertificates } from '../kit/certificates.ts'
import { type CallerOptions, loadCallerSecurity, loadCallerTls } from '../kit/grpc-security.ts'
import { watchToken } from '../kit/security.ts'
import { silentLogger } from '../kit/log.ts'
import { type AdminClient, createAdminClient } from './client/admin-client.ts'
import type { ExitCode } from './exit-codes.ts'
import { type Format, FORMATS } from './output/format.ts'
import type { Terminal } from './terminal.ts'

export interface Session {
  readonly terminal: Terminal
  /** Undefined: the command's own default. */
  readonly format: Format | undefined
  readonly ingress: URL
  /** By `--ca`, `--cert` and `--key`: for whoever is called over TLS. */
  readonly tls: WatchedCertificates | undefined
  /** By `--token-file`: never for the ingress, whose servers would see it. */
  readonly token: string | undefined
  /** Added to the ports that a local `millrace up` uses by default. */
  readonly portOffset: number
  /** Connected on first use; `scheduler host:port`. */
  readonly admin: AdminClient
  readonly now: () => number
}

/** Runs a command's work with a session of its own, and turns failures into messages and an exit code. */
export type Run = (command: Command, work: (session: Session) => Promise<ExitCode>) => Promise<void>

export const SCHEDULER_PORT = 9004
export const INGRESS_PORT = 9000
export const ENVOY_ADMIN_PORT = 9901
/** Of the metrics process beside Envoy. */
export const METRICS_PORT = 9003
/** Of a broker that `millrace up --kafka` starts. */
export const KAFKA_PORT = 9092
const MAX_PORT = 65_535

/** The options that every command takes, before or after its name. */
export const sessionOptions = (): readonly Option[] => [
  new Option('--scheduler <host:port>', `the scheduler's API (default: 127.0.0.1:${String(SCHEDULER_PORT)})`).env(
    'MILLRACE_SCHEDULER',
  ),
  new Option('--ingress <url>', `where inference goes (default: http://127.0.0.1:${String(INGRESS_PORT)})`).env(
    'MILLRACE_INGRESS',
  ),
  new Option('--port-offset <n>', 'added to both default ports, as in millrace up').env('MILLRACE_PORT_OFFSET'),
  new Option(
    '--ca <file>',
    'certificate authority (PEM) of the scheduler, which is then called over TLS, and of an https ingress',
  ).env('MILLRACE_CA'),
  new Option('--cert <file>', 'certificate (PEM) to show to them').env('MILLRACE_CERT'),
  new Option('--key <file>', 'key (PEM) of that certificate').env('MILLRACE_KEY'),
  new Option('--token-file <file>', "file with the scheduler's bearer token").env('MILLRACE_TOKEN_FILE'),
  new Option('-o, --output <format>', 'how to print').choices(FORMATS),
]

/** As commander reads them: text, or absent. */
export interface SessionOptions extends CallerOptions {
  readonly scheduler?: string
  readonly ingress?: string
  readonly portOffset?: string
  readonly output?: Format
}

/** @throws ServingError CONFIG_INVALID */
export function createSession(options: SessionOptions, terminal: Terminal): Session & { close(): void } {
  const offset = parseOffset(options.portOffset ?? '0')
  const scheduler = parseAddress(options.scheduler ?? `127.0.0.1:${String(SCHEDULER_PORT + offset)}`)
  const ingress = parseIngress(options.ingress ?? `http://127.0.0.1:${String(INGRESS_PORT + offset)}`)
  let admin: AdminClient | undefined
  let tls: WatchedCertificates | undefined
  return {
    terminal,
    format: options.output,
    ingress,
    get tls() {
      return (tls ??= loadCallerTls(options, silentLogger))
    },
    get token() {
      return options.tokenFile === undefined ? undefined : watchToken(options.tokenFile, silentLogger)()
    },
    portOffset: offset,
    get admin() {
      return (admin ??= createAdminClient(scheduler, undefined, loadCallerSecurity(options, silentLogger)))
    },
    now: Date.now,
    close: () => admin?.close(),
  }
}

function parseOffset(text: string): number {
  const offset = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
  const fits = [SCHEDULER_PORT, INGRESS_PORT, ENVOY_ADMIN_PORT].every(
    (port) => port + offset >= 1 && port + offset <= MAX_PORT,
  )
  if (fits) return offset
  throw new ServingError('CONFIG_INVALID', `--port-offset ${text}: must be a whole number that leaves valid ports`)
}

function parseAddress(address: string): string {
  const port = /^(?:[^\s:/]+|\[[\da-fA-F:]+\]):(?<port>\d{1,5})$/.exec(address)?.groups?.['port']
  if (port !== undefined && Number(port) >= 1 && Number(port) <= MAX_PORT) return address
  throw new ServingError('CONFIG_INVALID', `--scheduler ${address}: write it as host:port, for instance 127.0.0.1:9004`)
}

function parseIngress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url
  throw new ServingError('CONFIG_INVALID', `--ingress ${text}: write it as a URL, for instance http://127.0.0.1:9000`)
}
