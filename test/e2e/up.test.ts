/** `millrace up` as a user runs it: a process of its own, spoken to by its output, signals and exit status. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createAdminClient } from '../../cli/client/admin-client.ts'
import { isRunning, type ProcessIdentity } from '../../up/process-identity.ts'
import { killStale } from '../../up/supervisor/pid-files.ts'
import { eventually } from '../support/child-processes.ts'
import { modelResource, until, untilAvailable } from '../support/models.ts'
import { createRestSender } from '../support/open-loop.ts'
import { childrenOf, freePortOffset, runUp, UP_STOP_MS, type UpProcess } from '../support/up-process.ts'
import { runCli } from '../support/run-cli.ts'

let folder = ''
let offset = 0
const started: UpProcess[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-up-'))
  offset = await freePortOffset(2)
})
afterEach(async () => {
  for (const up of started.splice(0)) await up.end()
})
afterAll(async () => {
  await killStale(join(folder, 'run'), AbortSignal.timeout(UP_STOP_MS))
  rmSync(folder, { recursive: true, force: true })
})

test('the first start answers by REST and gRPC and leaves no process', async () => {
  const up = run('--once')
  expect(await up.exit(90_000), up.output()).toBe(0)
  expect(up.output()).toMatch(/iris by REST: .*"model_name":"iris_1"/)
  expect(up.output()).toMatch(/iris by gRPC: .*"model_name":"iris_1"/)
  expect(up.output()).toMatch(/iris-pipeline.pipeline by REST: .*"model_name":""/)
  expect(up.output()).toContain(`curl -s http://127.0.0.1:${String(9000 + offset)}/v2/models/iris/infer`)
  expect(children()).toEqual([])
})

test('--once exits 1 and says why when the sample cannot be answered', async () => {
  const up = run('--once', '--fresh', '--artifact-roots', folder)
  expect(await up.exit(90_000), up.output()).toBe(1)
  expect(up.output()).toMatch(/CONDITION_FAILED: model\/iris cannot become available: .* is outside --artifact-roots/)
  expect(children()).toEqual([])
})

test('a second start brings back what was applied', async () => {
  const first = run()
  await first.running()
  const admin = createAdminClient(`127.0.0.1:${String(9004 + offset)}`)
  await admin.apply(modelResource('kept'))
  await untilAvailable(admin, 'kept')
  admin.close()
  first.process.kill('SIGTERM')
  expect(await first.exit(UP_STOP_MS), first.output()).toBe(0)
  expect(children()).toEqual([])

  const startedAt = performance.now()
  const second = run()
  await second.running()
  console.log(`second start: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  const client = createRestSender(`127.0.0.1:${String(9000 + offset)}`)
  expect((await client.send('kept', 10_000)).status).toBe('200')
  await client.close()

  let doctor = await aboutIt('doctor')
  await until(
    'what is still being loaded',
    async () => doctor.code === 0 || (doctor = await aboutIt('doctor')).code === 0,
  )
  expect(doctor.out).toMatch(/ok +envoy config +envoy-0 has ACKed revision (\d+) of \1/)
  expect([doctor.code, doctor.err], doctor.out).toEqual([0, 'nothing is wrong\n'])
  const logs = await aboutIt('logs', 'scheduler')
  expect([logs.code, logs.err]).toEqual([0, ''])
  expect(logs.out).toMatch(/^\d\d:\d\d:\d\d\.\d{3} (?:INFO|WARN) +scheduler /)
})

const aboutIt = (...argv: string[]) => runCli([...argv, '--state-dir', folder, '--port-offset', String(offset)])

test('a child that is killed comes back, and Ctrl-C twice still leaves nothing', async () => {
  const up = run()
  await up.running()
  const killed = childNamed('scheduler')
  process.kill(killed.pid, 'SIGKILL')
  await eventually('the scheduler is back', () => up.output().includes('scheduler is back'), 60_000)
  expect(up.output()).toContain('scheduler was ended by SIGKILL')
  const all = children()
  up.process.kill('SIGINT')
  up.process.kill('SIGINT')
  await up.exit(UP_STOP_MS)
  expect(all.filter(isRunning)).toEqual([])
})

test('a second one in the same folder is refused, naming the first', async () => {
  const first = run()
  await first.running()
  const second = run()
  expect(await second.exit(60_000)).toBe(1)
  expect(second.output()).toContain(
    `ALREADY_RUNNING: a Millrace already runs in ${folder} (process ${String(first.process.pid)})`,
  )
})

test('what a killed start left running is ended by the next', async () => {
  const first = run()
  await first.running()
  const left = children()
  first.process.kill('SIGKILL')
  await first.exit(UP_STOP_MS)
  expect(left.filter(isRunning)).toEqual(left)
  const second = run('--once')
  expect(await second.exit(90_000), second.output()).toBe(0)
  expect(second.output()).toContain('ended what an earlier start left')
  expect(left.filter(isRunning)).toEqual([])
})

test('--fresh forgets what was applied', async () => {
  const up = run('--fresh', '--no-sample')
  await up.running()
  const admin = createAdminClient(`127.0.0.1:${String(9004 + offset)}`)
  expect(await admin.list('Model')).toEqual([])
  admin.close()
})

function run(...flags: readonly string[]): UpProcess {
  const up = runUp(folder, offset, flags)
  started.push(up)
  return up
}

const children = (): ProcessIdentity[] => [...childrenOf(folder).values()]

function childNamed(name: string): ProcessIdentity {
  const identity = childrenOf(folder).get(name)
  if (identity === undefined) throw new Error(`${name} does not run`)
  return identity
}
