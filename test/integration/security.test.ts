/** Tokens and TLS on every port of a scheduler, with the clients that agents, commands and Envoy use. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js'
import { Agent } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { AgentService, GRPC_OPTIONS, HealthCheckService } from '../../api/grpc.ts'
import { createAdminClient } from '../../cli/client/admin-client.ts'
import { toEnvoyArguments } from '../../envoy/arguments.ts'
import { toBootstrap } from '../../envoy/bootstrap.ts'
import { type CallerOptions, loadCallerSecurity } from '../../kit/grpc-security.ts'
import { serveHttp } from '../../kit/http.ts'
import { silentLogger } from '../../kit/log.ts'
import { loadSecurity } from '../../kit/security.ts'
import { buildIfStale } from '../../scripts/build.mjs'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { freePorts } from '../support/free-ports.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { createRestClient } from '../support/rest.ts'
import { freshPrefix, type SchedulerRig, startSchedulerRig } from '../support/scheduler-rig.ts'

const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const DEADLINE_MS = 3_000
/** A refusal comes with the first answer; nothing else tells that there is none. */
const NOT_REFUSED_MS = 500
const UNTIL_MS = 20_000

let redis: TestRedis
let certificates: Certificates
let rig: SchedulerRig | undefined
let envoy: ChildProcess | undefined
let tokenFile: string
let wrongToken: string

beforeAll(async () => {
  redis = await startRedis()
  certificates = makeCertificates()
  tokenFile = join(certificates.folder, 'token')
  wrongToken = join(certificates.folder, 'wrong-token')
  writeFileSync(tokenFile, 's3cret')
  writeFileSync(wrongToken, 'guess')
})
afterEach(async () => {
  if (envoy !== undefined) {
    const ended = once(envoy, 'exit')
    envoy.kill('SIGKILL')
    await ended
    envoy = undefined
  }
  await rig?.stop()
  rig = undefined
})
afterAll(async () => {
  await redis.stop()
  certificates.remove()
})

const start = async (...flags: string[]): Promise<SchedulerRig> => {
  rig = await startSchedulerRig({ redisUrl: redis.url, keyPrefix: freshPrefix(), flags })
  return rig
}
const token = (): string[] => ['--token-file', tokenFile]
const tls = (): string[] => ['--tls-cert', certificates.server.cert, '--tls-key', certificates.server.key]
const clientCa = (): string[] => ['--tls-client-ca', certificates.ca]

type Verdict = 'in' | 'no token' | 'no connection'

/** What each port says to a caller. */
async function knock({ ports }: SchedulerRig, caller: CallerOptions): Promise<Record<string, Verdict>> {
  const security = loadCallerSecurity(caller, silentLogger)
  const address = (port: number): string => `127.0.0.1:${String(port)}`
  const verdictOf = async (call: Promise<unknown>): Promise<Verdict> => {
    try {
      await call
      return 'in'
    } catch (error) {
      const { code } = error as { code?: unknown }
      return code === status.UNAUTHENTICATED || code === 'UNAUTHENTICATED' ? 'no token' : 'no connection'
    }
  }
  const options = { ...GRPC_OPTIONS, ...security.options }
  const admin = createAdminClient(address(ports.grpc), DEADLINE_MS, security)
  const agent = new AgentService(address(ports.agent), security.credentials, options)
  const xds = new Client(address(ports.xds), security.credentials, options)
  const identity = (bytes: Buffer): Buffer => bytes
  const deadline = { deadline: Date.now() + DEADLINE_MS }
  try {
    return {
      rest: await restVerdict(ports.http, caller),
      admin: await verdictOf(admin.list('Model')),
      agent: await verdictOf(stayOpen(agent.Connect(deadline))),
      xds: await verdictOf(stayOpen(xds.makeBidiStreamRequest(ADS, identity, identity, deadline))),
    }
  } finally {
    admin.close()
    agent.close()
    xds.close()
  }
}

/** A stream that is not refused: both ports leave a silent caller alone. */
async function stayOpen(call: ClientDuplexStream<never, unknown>): Promise<void> {
  const errors: ServiceError[] = []
  const failed = new Promise<void>((resolve) => {
    call.on('error', (error: ServiceError) => {
      errors.push(error)
      resolve()
    })
  })
  await Promise.race([failed, sleep(NOT_REFUSED_MS)])
  call.cancel()
  const [error] = errors
  if (error !== undefined) throw error
}

async function restVerdict(port: number, { ca, cert, key, tokenFile: file }: CallerOptions): Promise<Verdict> {
  const given = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
  const connect = Object.fromEntries(Object.entries(given).map(([name, path]) => [name, readFileSync(path)]))
  const dispatcher = new Agent({ connect })
  const rest = createRestClient(`${ca === undefined ? 'http' : 'https'}://127.0.0.1:${String(port)}`, dispatcher)
  const headers = file === undefined ? {} : { authorization: `Bearer ${readFileSync(file, 'utf8')}` }
  const answer = await rest.call('GET', '/v1/models', undefined, headers).catch((error: unknown) => {
    expect(error).toMatchObject({ message: 'fetch failed' }) // the handshake was refused
  })
  await dispatcher.destroy()
  if (answer === undefined) return 'no connection'
  if (answer.status === 401) expect(answer.body).toMatchObject({ code: 'UNAUTHENTICATED' })
  return answer.status === 200 ? 'in' : 'no token'
}

const everywhere = (verdict: Verdict) => ({ rest: verdict, admin: verdict, agent: verdict, xds: verdict })

describe('every port of a scheduler', () => {
  it('with a token asks for it', async () => {
    const scheduler = await start(...token())
    expect(await knock(scheduler, { tokenFile })).toEqual(everywhere('in'))
    expect(await knock(scheduler, {})).toEqual(everywhere('no token'))
    expect(await knock(scheduler, { tokenFile: wrongToken })).toEqual(everywhere('no token'))
  })

  it('with TLS and a token wants both', async () => {
    const scheduler = await start(...tls(), ...token())
    const { ca } = certificates
    expect(await knock(scheduler, { ca, tokenFile })).toEqual(everywhere('in'))
    expect(await knock(scheduler, { ca })).toEqual(everywhere('no token'))
    expect(await knock(scheduler, { tokenFile })).toEqual(everywhere('no connection'))
  })

  it('with an authority of clients wants a certificate of it', async () => {
    const scheduler = await start(...tls(), ...clientCa())
    const { ca, client } = certificates
    expect(await knock(scheduler, { ca, ...client })).toEqual(everywhere('in'))
    expect(await knock(scheduler, { ca })).toEqual(everywhere('no connection'))
  })

  it('takes certificates that are replaced, without a restart', async () => {
    const files = { cert: join(certificates.folder, 'live.crt'), key: join(certificates.folder, 'live.key') }
    const use = ({ server }: Certificates) => {
      copyFileSync(server.cert, files.cert)
      copyFileSync(server.key, files.key)
    }
    use(certificates)
    const scheduler = await start('--tls-cert', files.cert, '--tls-key', files.key)
    expect(await knock(scheduler, { ca: certificates.ca })).toEqual(everywhere('in'))
    const later = makeCertificates()
    try {
      use(later)
      const seen = () => knock(scheduler, { ca: later.ca })
      await expect.poll(seen, { timeout: UNTIL_MS, interval: 100 }).toEqual(everywhere('in'))
      expect(await knock(scheduler, { ca: certificates.ca })).toEqual(everywhere('no connection'))
    } finally {
      later.remove()
    }
  })

  it('tells its health without a token', async () => {
    const { ports } = await start(...token())
    const rest = createRestClient(`http://127.0.0.1:${String(ports.http)}`)
    expect(await rest.call('GET', '/healthz')).toMatchObject({ status: 200 })
    expect(await rest.call('GET', '/readyz')).toMatchObject({ status: 200 })
    expect(await rest.call('GET', '/metrics')).toMatchObject({ status: 401 })
    const plain = loadCallerSecurity({}, silentLogger)
    const health = new HealthCheckService(`127.0.0.1:${String(ports.grpc)}`, plain.credentials)
    expect(await grpcCall((done) => health.HealthCheck({}, done))).toMatchObject({ ok: true })
    health.close()
  })

  it('does not open beyond loopback by mistake', async () => {
    await expect(start('--host', '0.0.0.0')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(start('--host', '0.0.0.0', ...token())).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('the small HTTP port of a process', () => {
  it('asks for the same', async () => {
    const security = loadSecurity({ tokenFile }, '127.0.0.1', silentLogger)
    const ok = () => ({ status: 200, body: '{}' })
    const routes = { '/healthz': ok, '/metrics': ok }
    const http = await serveHttp({ host: '127.0.0.1', port: 0, routes, log: silentLogger, security })
    const rest = createRestClient(`http://127.0.0.1:${String(http.port)}`)
    expect(await rest.call('GET', '/healthz')).toMatchObject({ status: 200 })
    expect(await rest.call('GET', '/metrics')).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } })
    const bearer = { authorization: 'Bearer s3cret' }
    expect(await rest.call('GET', '/metrics', undefined, bearer)).toMatchObject({ status: 200 })
    await http.stop()
  })
})

describe('Envoy', () => {
  it('gets its configuration over TLS, with a certificate and the token', async () => {
    await buildIfStale(['wasm'])
    const [ingress = 0, adminPort = 0] = await freePorts(2)
    const { ports } = await start(...tls(), ...token(), ...clientCa(), '--ingress-port', String(ingress))
    const { ca, client, folder } = certificates
    const bootstrapPath = join(folder, 'bootstrap.json')
    const xds = [{ address: '127.0.0.1', port: ports.xds }]
    const bootstrap = toBootstrap({ nodeId: 'tls', xds, adminPort, tls: { ca, ...client }, token: 's3cret' })
    writeFileSync(bootstrapPath, JSON.stringify(bootstrap))
    const binary = process.env['MILLRACE_TEST_ENVOY'] ?? 'envoy'
    envoy = spawn(binary, toEnvoyArguments({ bootstrapPath, concurrency: 1, logLevel: 'error' }), { stdio: 'ignore' })
    const connect = { ca: readFileSync(ca), cert: readFileSync(client.cert), key: readFileSync(client.key) }
    const rest = createRestClient(`https://127.0.0.1:${String(ports.http)}`, new Agent({ connect }))
    const acked = async () => {
      const bearer = { authorization: 'Bearer s3cret' }
      const { body } = await rest.call('GET', '/v1/nodes', undefined, bearer)
      return (body as { items: { node: string; ackedRevision: number }[] }).items
    }
    await expect.poll(acked, { timeout: UNTIL_MS, interval: 100 }).toMatchObject([{ node: 'tls', ackedRevision: 0 }])
  })
})
