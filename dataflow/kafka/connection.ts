/**
 * How to reach Kafka: addresses alone, or a file in JSON or properties with the names that librdkafka and Kafka's own tools
 * use. Secrets stand in files of their own, so that a configuration can be shown to anybody.
 */
import { readFileSync } from 'node:fs'
import { type Issue, issuesError, ServingError } from '../../kit/errors.ts'

export const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
export type SaslMechanism = (typeof SASL_MECHANISMS)[number]

export interface KafkaTls {
  /** PEM files; without `ca` the authorities that Node knows. */
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
  /** False: whoever answers is taken for the broker, as long as an authority signed. */
  readonly checkHostName: boolean
}

export interface KafkaSasl {
  readonly mechanism: SaslMechanism
  readonly username: string
  /** Read at every connection. */
  readonly passwordFile: string
}

export interface KafkaConnection {
  readonly bootstrapServers: readonly string[]
  readonly tls: KafkaTls | undefined
  readonly sasl: KafkaSasl | undefined
}

const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const
const KEYS = [
  'bootstrap.servers',
  'security.protocol',
  'sasl.mechanism',
  'sasl.username',
  'sasl.password.file',
  'ssl.ca.location',
  'ssl.certificate.location',
  'ssl.key.location',
  'ssl.endpoint.identification.algorithm',
] as const
type Key = (typeof KEYS)[number]

/** What an operator gave; empty: nothing. */
export interface GivenKafka {
  readonly bootstrapServers: string
  readonly configFile: string
}

export const isKafkaGiven = ({ bootstrapServers, configFile }: GivenKafka): boolean =>
  bootstrapServers !== '' || configFile !== ''

/**
 * From what an operator gave; the addresses, when not empty, win over the file's.
 * @throws ServingError CONFIG_INVALID naming everything that is wrong, never a value that may be secret
 */
export function loadKafkaConnection(given: GivenKafka): KafkaConnection {
  const settings = given.configFile === '' ? {} : parseSettings(given.configFile, readConfig(given.configFile))
  const servers =
    given.bootstrapServers === '' ? settings : { ...settings, 'bootstrap.servers': given.bootstrapServers }
  return parseConnection(given.configFile === '' ? 'KAFKA_BOOTSTRAP_SERVERS' : given.configFile, servers)
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('CONFIG_INVALID', `the Kafka configuration ${path} cannot be read: ${reason}`, {
      cause: error,
    })
  }
}

/** JSON when it begins with a brace, else `name = value` lines. */
export function parseSettings(source: string, text: string): Readonly<Record<string, string>> {
  if (!text.trimStart().startsWith('{')) return parseProperties(source, text)
  try {
    const parsed = JSON.parse(text) as Record<string, unknown>
    return Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, toText(source, key, value)]))
  } catch (error) {
    if (error instanceof ServingError) throw error
    throw new ServingError('CONFIG_INVALID', `${source} is no JSON: look for a missing comma or quote`) // the cause may quote a secret
  }
}

function toText(source: string, key: string, value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw new ServingError('CONFIG_INVALID', `${source}: ${key} must be a text`)
}

function parseProperties(source: string, text: string): Readonly<Record<string, string>> {
  const settings: Record<string, string> = {}
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith('!')) continue
    const match = /^(?<key>[^=:\s]+)\s*[=:\s]\s*(?<value>.*)$/.exec(trimmed)?.groups
    if (match?.['key'] === undefined)
      throw new ServingError('CONFIG_INVALID', `${source}: line ${String(index + 1)} is not name=value`)
    settings[match['key']] = match['value'] ?? ''
  }
  return settings
}

/** @throws ServingError CONFIG_INVALID naming everything that is wrong */
export function parseConnection(source: string, settings: Readonly<Record<string, string>>): KafkaConnection {
  const issues: Issue[] = []
  const issue = (path: string, message: string): void => {
    issues.push({ path, message })
  }
  for (const key of Object.keys(settings)) checkKey(key, issue)
  const value = (key: Key): string | undefined => (settings[key] === '' ? undefined : settings[key])
  const bootstrapServers = (value('bootstrap.servers') ?? '').split(',').map((server) => server.trim())
  for (const server of bootstrapServers) {
    if (!/^(?:[^\s:/]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/.test(server))
      issue('bootstrap.servers', `"${server}" is not host:port; separate several by commas`)
  }
  const protocol =
    oneOf(PROTOCOLS, value('security.protocol') ?? 'PLAINTEXT', 'security.protocol', issue) ?? 'PLAINTEXT'
  const connection: KafkaConnection = {
    bootstrapServers,
    tls: protocol.endsWith('SSL') ? readTls(value, issue) : undefined,
    sasl: protocol.startsWith('SASL') ? readSasl(value, issue) : undefined,
  }
  for (const key of Object.keys(settings)) {
    if (key.startsWith('ssl.') && connection.tls === undefined)
      issue(key, `needs security.protocol SSL or SASL_SSL, not ${protocol}`)
    if (key.startsWith('sasl.') && connection.sasl === undefined)
      issue(key, `needs security.protocol SASL_PLAINTEXT or SASL_SSL, not ${protocol}`)
  }
  if (issues.length > 0) throw issuesError('CONFIG_INVALID', source, issues)
  return connection
}

type Tell = (path: string, message: string) => void

function checkKey(key: string, issue: Tell): void {
  if (key === 'sasl.password' || key === 'sasl.jaas.config')
    issue(key, 'secrets stand in files of their own: put it into one and name that in sasl.password.file')
  else if (!KEYS.some((known) => known === key)) issue(key, `is not known; known are ${KEYS.join(', ')}`)
}

function readTls(value: (key: Key) => string | undefined, issue: Tell): KafkaTls {
  const [certFile, keyFile] = [value('ssl.certificate.location'), value('ssl.key.location')]
  if ((certFile === undefined) !== (keyFile === undefined))
    issue('ssl.certificate.location', 'goes with ssl.key.location: name both or none')
  const algorithm = value('ssl.endpoint.identification.algorithm') ?? 'https'
  oneOf(['https', 'none'] as const, algorithm, 'ssl.endpoint.identification.algorithm', issue)
  const tls = { caFile: value('ssl.ca.location'), certFile, keyFile, checkHostName: algorithm !== 'none' }
  checkReadable('ssl.ca.location', tls.caFile, issue)
  checkReadable('ssl.certificate.location', certFile, issue)
  checkReadable('ssl.key.location', keyFile, issue)
  return tls
}

function readSasl(value: (key: Key) => string | undefined, issue: Tell): KafkaSasl {
  const mechanism = oneOf(SASL_MECHANISMS, value('sasl.mechanism') ?? 'PLAIN', 'sasl.mechanism', issue) ?? 'PLAIN'
  const [username, passwordFile] = [value('sasl.username'), value('sasl.password.file')]
  if (username === undefined) issue('sasl.username', 'is missing')
  if (passwordFile === undefined) issue('sasl.password.file', 'is missing: the path of a file that holds the password')
  checkReadable('sasl.password.file', passwordFile, issue)
  return { mechanism, username: username ?? '', passwordFile: passwordFile ?? '' }
}

function checkReadable(key: string, path: string | undefined, issue: Tell): void {
  if (path === undefined) return
  try {
    readFileSync(path)
  } catch (error) {
    issue(key, `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function oneOf<T extends string>(values: readonly T[], text: string, key: string, issue: Tell): T | undefined {
  const found = values.find((value) => value === text)
  if (found === undefined) issue(key, `"${text}" is none of ${values.join(', ')}`)
  return found
}
