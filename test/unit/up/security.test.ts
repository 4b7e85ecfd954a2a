import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { planMesh } from '../../../up/plan.ts'
import { standardPorts } from '../../../up/ports.ts'
import { loadMeshSecurity, type MeshSecurity } from '../../../up/security.ts'
import { type Certificates, makeCertificates } from '../../support/certificates.ts'

let certificates: Certificates
let tokenFile: string
beforeAll(() => {
  certificates = makeCertificates()
  tokenFile = join(certificates.folder, 'token')
  writeFileSync(tokenFile, 's3cret\n')
})
afterAll(() => {
  certificates.remove()
})

const planOf = (security: MeshSecurity) =>
  planMesh({
    millrace: ['node', 'millrace.js'],
    modelServer: ['node', 'millrace.js', 'model-server'],
    envoyBinary: 'envoy',
    envoyConcurrency: 1,
    redis: { kind: 'managed', binary: 'redis-server' },
    folder: '/folder',
    host: '127.0.0.1',
    ports: standardPorts(0, 1),
    serverName: 'embedded',
    artifactRoots: ['/models'],
    extraFlags: {},
    security,
  })

test('one set of options reaches every process, each as it needs it', () => {
  const { server, client, ca } = certificates
  const options = { tlsCert: server.cert, tlsKey: server.key, tlsClientCa: ca, ca, ...client, tokenFile }
  const plan = planOf(loadMeshSecurity({ ...options, ingressTls: true }))
  const commandOf = (name: string): string => plan.processes.find((one) => one.name === name)?.args.join(' ') ?? ''
  const token = `--token-file ${tokenFile}`
  const listens = `--tls-cert ${server.cert} --tls-key ${server.key} --tls-client-ca ${ca}`
  const calls = `--ca ${ca} --cert ${client.cert} --key ${client.key}`
  const envoy = `--upstream-ca ${ca} --upstream-cert ${client.cert} --upstream-key ${client.key}`
  expect(commandOf('scheduler')).toContain(`${token} ${listens} ${envoy} --ingress-tls-cert ${server.cert}`)
  expect(commandOf('mesh-metrics-0')).toContain(`${token} ${listens}`)
  expect(commandOf('agent-embedded-0')).toContain(`${token} ${listens} ${calls} --server-tls`)
  expect(commandOf('embedded-0')).toContain(listens)
  expect(commandOf('embedded-0')).not.toContain('--token-file')
  for (const { name, args, readiness } of plan.processes) {
    expect(args.join(' '), name).not.toContain('s3cret')
    if (readiness.kind === 'http' && !name.startsWith('envoy')) expect(readiness.url, name).toMatch(/^https:/)
  }
  expect(plan.files[0]?.secret).toBe(true)
  expect(plan.files[0]?.content).toContain('Bearer s3cret')
})

test('without them nothing is said of security', () => {
  const plan = planOf(loadMeshSecurity({ ingressTls: false }))
  const said = JSON.stringify(plan.processes)
  for (const word of ['tls', 'token', '--ca', 'https']) expect(said).not.toContain(word)
  expect(plan.files[0]?.secret).toBe(false)
})

test.each([
  ['TLS without an authority', () => ({ ...withTls(), ca: undefined }), /--tls-cert needs --ca/],
  ['certificates of callers that nobody has', () => ({ ...withTls(), tlsClientCa: certificates.ca }), /needs --cert/],
  ['an authority without TLS', () => ({ ca: certificates.ca }), /need --tls-cert and --tls-key/],
  ['a file that is not there', () => ({ ...withTls(), tlsKey: '/absent' }), /--tls-key \/absent/],
] as const)('what does not fit together is refused: %s', (_, options, message) => {
  const given = Object.fromEntries(Object.entries(options()).filter(([, value]) => value !== undefined))
  expect(() => loadMeshSecurity({ ...given, ingressTls: false })).toThrow(message)
})

const withTls = () => ({
  tlsCert: certificates.server.cert,
  tlsKey: certificates.server.key,
  ca: certificates.ca,
})
