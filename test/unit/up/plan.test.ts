import { expect, test } from 'vitest'
import { sharedConcurrency } from '../../../envoy/arguments.ts'
import { type MeshOptions, planMesh } from '../../../up/plan.ts'
import { portUses, replicaPorts, replicaPortUses, standardPorts } from '../../../up/ports.ts'
import { MAX_REPLICAS, SERVER_KINDS } from '../../../up/servers/kinds.ts'

const options: MeshOptions = {
  millrace: ['node', 'millrace.js'],
  modelServer: ['node', 'server.js'],
  envoyBinary: '/tools/envoy',
  envoyConcurrency: 2,
  redis: { kind: 'managed', binary: '/tools/redis-server' },
  folder: '/state',
  host: '127.0.0.1',
  ports: standardPorts(0, 2),
  serverName: 'embedded',
  artifactRoots: ['/a', '/b'],
  extraFlags: { scheduler: ['--drain-time-ms', '5'], agent: ['--log-level', 'debug'] },
}

const processNamed = (name: string, of = options) => {
  const found = planMesh(of).processes.find((process) => process.name === name)
  if (found === undefined) throw new Error(`the plan has no ${name}`)
  return found
}

/** The value after `--flag`. */
const flagOf = (name: string, flag: string, of = options) => {
  const { args } = processNamed(name, of)
  return args[args.indexOf(`--${flag}`) + 1]
}

test('a mesh of two replicas is Redis, scheduler, Envoy with its metrics, a pipeline gateway, two servers and two agents', () => {
  expect(planMesh(options).processes.map((process) => process.name)).toEqual([
    'redis',
    'scheduler',
    'envoy-0',
    'mesh-metrics-0',
    'pipeline-gateway-0',
    'embedded-0',
    'agent-embedded-0',
    'embedded-1',
    'agent-embedded-1',
  ])
})

test('a process comes after everything that it waits for', () => {
  const { processes } = planMesh(options)
  for (const [index, process] of processes.entries())
    for (const name of process.after) expect(processes.findIndex((other) => other.name === name)).toBeLessThan(index)
})

test('all stages together stop within five seconds', () => {
  const longest = new Map<number, number>()
  for (const { stopStage, stopTimeoutMs } of planMesh(options).processes)
    longest.set(stopStage, Math.max(longest.get(stopStage) ?? 0, stopTimeoutMs))
  expect([...longest.values()].reduce((sum, ms) => sum + ms, 0)).toBeLessThan(4_500)
})

test('traffic stops before what serves it, and the store goes last', () => {
  const stage = (name: string) => processNamed(name).stopStage
  expect(stage('envoy-0')).toBeLessThan(stage('scheduler'))
  expect(stage('scheduler')).toBeLessThan(stage('redis'))
  expect(stage('agent-embedded-0')).toBeLessThan(stage('embedded-0'))
})

test('Redis writes through on every command, forgets nothing and listens on this machine only', () => {
  expect(flagOf('redis', 'appendfsync')).toBe('always')
  expect(flagOf('redis', 'appendonly')).toBe('yes')
  expect(flagOf('redis', 'maxmemory-policy')).toBe('noeviction')
  expect(flagOf('redis', 'bind')).toBe('127.0.0.1')
})

test('a Redis of the user is not started and is given to the scheduler', () => {
  const external: MeshOptions = { ...options, redis: { kind: 'external', url: 'redis://elsewhere:1' } }
  expect(planMesh(external).processes.some((process) => process.name === 'redis')).toBe(false)
  expect(processNamed('scheduler', external).environment).toEqual({ REDIS_URL: 'redis://elsewhere:1' })
  expect(JSON.stringify(processNamed('scheduler', external).args)).not.toContain('redis://')
  expect(processNamed('scheduler', external).after).toEqual([])
})

test('an agent and its server share the ports and the repository', () => {
  for (const flag of ['repository']) expect(flagOf('agent-embedded-1', flag)).toBe(flagOf('embedded-1', flag))
  expect(flagOf('agent-embedded-1', 'server-rest-port')).toBe(flagOf('embedded-1', 'rest-port'))
  expect(flagOf('agent-embedded-1', 'server-grpc-port')).toBe(flagOf('embedded-1', 'grpc-port'))
  expect(flagOf('agent-embedded-1', 'replica-index')).toBe('1')
  expect(planMesh(options).folders).toContain(flagOf('embedded-1', 'repository'))
})

test('extra flags come last, so that they win', () => {
  expect(processNamed('scheduler').args.slice(-2)).toEqual(['--drain-time-ms', '5'])
  expect(processNamed('agent-embedded-0').args.slice(-2)).toEqual(['--log-level', 'debug'])
})

test('each Envoy has its own bootstrap with its own name and admin port', () => {
  const first = { admin: 2, metrics: 3 }
  const second = { admin: 5, metrics: 6 }
  const { files } = planMesh({ ...options, ports: { ...options.ports, envoys: [first, second] } })
  expect(files.map((file) => JSON.parse(file.content) as object)).toMatchObject([
    { node: { id: 'envoy-0' }, admin: { address: { socket_address: { port_value: 2 } } } },
    { node: { id: 'envoy-1' }, admin: { address: { socket_address: { port_value: 5 } } } },
  ])
})

test('every port moves by the offset and none is used twice', () => {
  const uses = portUses(standardPorts(0, 3))
  expect(new Set(uses.map((use) => use.port)).size).toBe(uses.length)
  expect(portUses(standardPorts(1000, 3)).map((use) => use.port)).toEqual(uses.map((use) => use.port + 1000))
})

test('ports of the kinds of servers never meet, nor those of everything else, with as many replicas as there may be', () => {
  const replicas = SERVER_KINDS.flatMap((kind) =>
    Array.from({ length: MAX_REPLICAS }, (_, index) => replicaPortUses(replicaPorts(kind, index, 7))).flat(),
  )
  const ports = [...portUses(standardPorts(7, 0)), ...replicas].map(({ port }) => port)
  expect(new Set(ports).size).toBe(ports.length)
  expect(replicaPorts('mlserver', 1, 0)).toMatchObject({
    rest: 9210,
    grpc: 9211,
    agentHttp: 9212,
    modelServerMetrics: 9213,
  })
})

test.each([
  [1, 1],
  [2, 1],
  [3, 1],
  [8, 4],
  [1_024, 256],
])('on %d processors Envoy has %d workers of its own choice', (processors, workers) => {
  expect(sharedConcurrency(processors)).toBe(workers)
})
