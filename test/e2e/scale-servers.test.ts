/** `millrace up` follows Server resources: replicas are started and drained while requests go on. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ModelStatus, StoredServer } from '../../api/resources/status.ts'
import { type AdminClient, createAdminClient } from '../../cli/client/admin-client.ts'
import { replicaPorts, standardPorts } from '../../up/ports.ts'
import { isRunning } from '../../up/process-identity.ts'
import { killStale } from '../../up/supervisor/pid-files.ts'
import { countAnswers } from '../support/envoy-admin.ts'
import { applyAvailable, modelResource, until, untilAvailable, untilModel } from '../support/models.ts'
import { describeFailures, startLoad } from '../support/open-loop.ts'
import { childrenOf, freePortOffset, runUp, UP_STOP_MS, type UpProcess } from '../support/up-process.ts'

const REPLICAS = 3
/** Of each protocol. */
const RATE = 100

let folder = ''
let offset = 0
let up: UpProcess
let admin: AdminClient

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-scale-'))
  offset = await freePortOffset(REPLICAS)
  up = runUp(folder, offset, ['--servers', 'embedded=2', '--no-sample'])
  admin = createAdminClient(`127.0.0.1:${String(standardPorts(offset, 0).schedulerGrpc)}`)
  await up.running()
})
afterAll(async () => {
  admin.close()
  await up.end()
  await killStale(join(folder, 'run'), AbortSignal.timeout(UP_STOP_MS))
  rmSync(folder, { recursive: true, force: true })
})

const scale = (replicas: number, name = 'embedded') =>
  admin.apply({ apiVersion: 'mlops.seldon.io/v1alpha1', kind: 'Server', metadata: { name }, spec: { replicas } })
const isServer = (name: string): boolean => name.startsWith('embedded-') || name.startsWith('agent-')
const serverProcesses = (): string[] => [...childrenOf(folder).keys()].filter(isServer).toSorted()
const placesOf = (status: ModelStatus): string[] =>
  (status.versions ?? []).flatMap(({ replicas }) => (replicas ?? []).map(({ replica }) => replica))
/** What `up` has said of replicas since `from`. */
const replicaLines = (from: number): string[] =>
  up
    .output()
    .slice(from)
    .split('\n')
    .filter((line) => line.includes('server replica'))

test('2 -> 3 -> 1 replicas under 200 requests/s: none fails, and models follow the replicas', async () => {
  const ports = standardPorts(offset, REPLICAS)
  await applyAvailable(admin, 'wide', { replicas: 3, minReplicas: 1 })
  await applyAvailable(admin, 'pair', { replicas: 2, minReplicas: 1 })
  await applyAvailable(admin, 'solo', { replicas: 1 })
  await admin.apply(modelResource('triple', { replicas: 3 }))
  await untilModel(admin, 'triple', ({ state }) => state === 'ScheduleFailed')
  const load = startLoad({
    ingress: `127.0.0.1:${String(ports.ingress)}`,
    model: ['wide', 'pair', 'solo'],
    ratePerSecond: RATE,
  })
  try {
    await scale(3)
    await up.says('server replica embedded/2 runs')
    await untilAvailable(admin, 'triple') // it had no place before
    await untilModel(admin, 'wide', ({ availableReplicas }) => availableReplicas === 3)
    const added = `127.0.0.1:${String(replicaPorts('embedded', 2, offset).rest)}`
    await until('answers of the new replica', async () => (await countAnswers(ports.envoys[0]?.admin ?? 0, added)) > 50)
    await applyAvailable(admin, 'late', { replicas: 1 })
    expect(placesOf(await untilAvailable(admin, 'late'))).toEqual(['embedded/2']) // the emptiest

    const scaledAt = up.output().length
    await scale(1)
    await up.says('server replica embedded/1 has stopped')
    expect(replicaLines(scaledAt)).toEqual([
      'draining server replica embedded/2',
      'server replica embedded/2 has stopped',
      'draining server replica embedded/1',
      'server replica embedded/1 has stopped',
    ])
    for (const name of ['wide', 'pair', 'solo', 'late']) {
      const rest = (status: ModelStatus): boolean => placesOf(status).join() === 'embedded/0'
      expect(await untilModel(admin, name, rest)).toMatchObject({ state: 'ModelAvailable', availableReplicas: 1 })
    }
  } finally {
    const report = await load.stop()
    console.log(`${String(report.sent)} requests, ${String(report.failed.length)} failed`)
    expect(report.failed.length, describeFailures(report)).toBe(0)
  }
  expect(serverProcesses()).toEqual(['agent-embedded-0', 'embedded-0'])
  const { resource } = await admin.get('Server', 'embedded')
  expect((resource as StoredServer).status).toMatchObject({ state: 'ServerReady', replicas: 1, availableReplicas: 1 })
})

test('a server that up does not run is ignored, and said so; a restart of the scheduler is survived', async () => {
  await scale(1, 'triton')
  await up.says('server triton: millrace up runs embedded and mlserver only')
  const scheduler = childrenOf(folder).get('scheduler')
  process.kill(scheduler?.pid ?? 0, 'SIGKILL')
  await up.says('scheduler is back')
  await scale(2)
  await up.says('server replica embedded/1 runs')
  expect(serverProcesses()).toContain('agent-embedded-1')
})

test('a replica whose port is taken is told, and started when the port is free', async () => {
  const { grpc } = replicaPorts('embedded', 2, offset)
  const holder = createServer()
  await new Promise<void>((done) => holder.listen(grpc, '127.0.0.1', done))
  const scaledAt = up.output().length
  await scale(3)
  await up.says('server replica embedded/2 cannot be started')
  expect(up.output().slice(scaledAt)).toContain(`in use: port ${String(grpc)} (model server gRPC`)
  expect(serverProcesses()).toHaveLength(4)
  await new Promise((done) => holder.close(done))
  await eventuallyRuns(scaledAt, 'embedded/2')
  expect(serverProcesses()).toHaveLength(6)
})

test('a restart with --servers changes what was applied, and the first start leaves no process', async () => {
  await scale(1)
  await until('one replica', () => serverProcesses().length === 2)
  const before = [...childrenOf(folder).values()]
  await up.end()
  expect(before.filter(isRunning)).toEqual([])

  up = runUp(folder, offset, ['--servers', 'embedded=2', '--no-sample'])
  await up.running()
  expect(up.output()).toContain('server embedded gets 2 replicas, as --servers says; 1 were applied before')
  expect(serverProcesses()).toHaveLength(4)
  await untilAvailable(admin, 'solo')
})

const eventuallyRuns = (from: number, replica: string): Promise<void> =>
  until(`${replica} runs`, () => replicaLines(from).includes(`server replica ${replica} runs`))
