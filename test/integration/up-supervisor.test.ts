import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkPortsFree } from '../../up/port-check.ts'
import { formatIdentity, identityOf } from '../../up/process-identity.ts'
import type { ChildEvent } from '../../up/supervisor/child.ts'
import { rotateIfLarge } from '../../up/supervisor/log-file.ts'
import { killStale, rememberPid } from '../../up/supervisor/pid-files.ts'
import type { ProcessSpec } from '../../up/supervisor/spec.ts'
import { createSupervisor, type Supervisor } from '../../up/supervisor/supervisor.ts'
import { endAbandoned } from '../support/abandoned-meshes.ts'
import { eventually, nodeSpec, SERVE } from '../support/child-processes.ts'
import { freePorts } from '../support/free-ports.ts'

let folder = ''
let supervisor: Supervisor | undefined
let events: ChildEvent[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-supervisor-'))
  events = []
})

afterEach(async () => {
  supervisor?.killAll()
  await supervisor?.stop()
  supervisor = undefined
  rmSync(folder, { recursive: true, force: true })
})

const supervise = (specs: readonly ProcessSpec[], restarts = true): Supervisor => {
  supervisor = createSupervisor({
    specs,
    logsDir: join(folder, 'logs'),
    pidsDir: join(folder, 'run'),
    restarts: () => restarts,
    onEvent: (event) => events.push(event),
  })
  return supervisor
}

const pidOf = (of: Supervisor, name: string): number => {
  const { pid } = of.child(name)
  if (pid === undefined) throw new Error(`${name} does not run`)
  return pid
}

/** A zombie that nobody has read the end of does not run. */
const runs = (pid: number): boolean => identityOf(pid) !== undefined

test('a child that dies is started again under the same name', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([nodeSpec('web', port, SERVE)])
  await running.start()
  const first = pidOf(running, 'web')
  process.kill(first, 'SIGKILL')
  await eventually('a second start', () => events.filter((event) => event.kind === 'ready').length === 2)
  expect(pidOf(running, 'web')).not.toBe(first)
  expect(events.find((event) => event.kind === 'died')).toMatchObject({ name: 'web', end: 'was ended by SIGKILL' })
})

test('a child that is stopped is not started again', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([nodeSpec('web', port, SERVE)])
  await running.start()
  const pid = pidOf(running, 'web')
  await running.stop()
  expect(runs(pid)).toBe(false)
  expect(running.child('web').pid).toBeUndefined()
  expect(events.map((event) => event.kind)).toEqual(['ready'])
})

test('a child that ignores SIGTERM, or is frozen, is killed in time', async () => {
  const [stubborn = 0, frozen = 0] = await freePorts(2)
  const ignores = `process.on('SIGTERM', () => {}); ${SERVE}`
  const running = supervise([nodeSpec('stubborn', stubborn, ignores), nodeSpec('frozen', frozen, ignores)])
  await running.start()
  const pids = [pidOf(running, 'stubborn'), pidOf(running, 'frozen')]
  running.child('frozen').signal('SIGSTOP')
  await running.stop()
  expect(pids.map(runs)).toEqual([false, false])
})

test('a child that ends before it is ready fails the start with its last log lines', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([nodeSpec('broken', port, `console.error('no such model'); process.exit(3)`)])
  await expect(running.start()).rejects.toMatchObject({
    code: 'PROCESS_FAILED',
    message: expect.stringMatching(/broken ended with exit status 3[^]*no such model/) as string,
  })
})

test('the error that one of our processes logged is said in its words, on one line', async () => {
  const [port = 0] = await freePorts(1)
  const logged = { level: 50, code: 'STORE_MISCONFIGURED', error: 'set noeviction', msg: 'start failed' }
  const script = `console.log(${JSON.stringify(JSON.stringify(logged))}); console.log('stopped'); process.exit(1)`
  await expect(supervise([nodeSpec('broken', port, script)]).start()).rejects.toMatchObject({
    code: 'PROCESS_FAILED',
    message: `broken ended with exit status 1: STORE_MISCONFIGURED: set noeviction (log: ${join(folder, 'logs/broken.log')})`,
  })
})

test('a child that does not become ready within its time fails the start', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([nodeSpec('slow', port, 'setInterval(() => {}, 1000)', { readyTimeoutMs: 300 })])
  await expect(running.start()).rejects.toMatchObject({
    code: 'PROCESS_FAILED',
    message: expect.stringContaining('slow was not ready within 0.3 s') as string,
  })
})

test('a command that does not exist fails the start by name', async () => {
  const running = supervise([nodeSpec('absent', 1, '', { command: '/nowhere/tool' })])
  await expect(running.start()).rejects.toThrow(/absent could not be run: .*ENOENT/)
})

test('a child is started after those it waits for, and stages stop in order', async () => {
  const [first = 0, second = 0] = await freePorts(2)
  const log = join(folder, 'order')
  const telling = (name: string) =>
    `const { appendFileSync } = require('node:fs');
     appendFileSync('${log}', 'start ${name}\\n');
     process.on('SIGTERM', () => { appendFileSync('${log}', 'stop ${name}\\n'); process.exit(0) });
     ${SERVE}`
  const running = supervise([
    nodeSpec('store', first, telling('store'), { stopStage: 1, stopTimeoutMs: 30_000 }),
    nodeSpec('user', second, telling('user'), { stopStage: 0, stopTimeoutMs: 30_000, after: ['store'] }),
  ])
  await running.start()
  await running.stop()
  expect(readFileSync(log, 'utf8').trim().split('\n')).toEqual(['start store', 'start user', 'stop user', 'stop store'])
})

test('stopping while a child starts ends it', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([nodeSpec('slow', port, 'setInterval(() => {}, 1000)')])
  const start = running.start().catch((error: unknown) => error)
  await eventually('the child runs', () => running.child('slow').pid !== undefined)
  const pid = pidOf(running, 'slow')
  await running.stop()
  expect(runs(pid)).toBe(false)
  expect(await start).toMatchObject({ code: 'CANCELLED' })
})

test('a child without restart stays dead until it is started', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([nodeSpec('web', port, SERVE)], false)
  await running.start()
  const child = running.child('web')
  const gone = child.exited()
  child.signal('SIGKILL')
  await gone
  expect(child.pid).toBeUndefined()
  await child.start()
  expect(child.pid).toBeDefined()
})

test('a child that is added later is kept running, and stopped with the others', async () => {
  const [first = 0, second = 0] = await freePorts(2)
  const running = supervise([nodeSpec('first', first, SERVE)])
  await running.start()
  await running.add(nodeSpec('second', second, SERVE, { stopStage: 7 }))
  const killed = pidOf(running, 'second')
  process.kill(killed, 'SIGKILL')
  await eventually('a second start', () => events.filter((event) => event.kind === 'ready').length === 3)
  const pid = pidOf(running, 'second')
  await running.stop()
  expect([killed, pid].map(runs)).toEqual([false, false])
})

test('a child that is removed ends, is not started again, and its name is free', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([])
  await running.start()
  await running.add(nodeSpec('web', port, SERVE))
  await expect(running.add(nodeSpec('web', port, SERVE))).rejects.toThrow('there is a process web already')
  const pid = pidOf(running, 'web')
  await running.remove('web')
  expect(runs(pid)).toBe(false)
  expect(() => running.child('web')).toThrow('no process web')
  await running.remove('web')
  await running.add(nodeSpec('web', port, SERVE))
  expect(runs(pidOf(running, 'web'))).toBe(true)
})

test('a child that is added and does not become ready is ended and forgotten', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([])
  await running.start()
  const adding = running.add(nodeSpec('slow', port, 'setInterval(() => {}, 1000)', { readyTimeoutMs: 300 }))
  const pid = pidOf(running, 'slow')
  await expect(adding).rejects.toMatchObject({ code: 'PROCESS_FAILED' })
  expect(runs(pid)).toBe(false)
  expect(() => running.child('slow')).toThrow('no process slow')
})

test('stopping ends a child that is just being added or removed, and takes on no other', async () => {
  const [starting = 0, leaving = 0, late = 0] = await freePorts(3)
  const ignores = `process.on('SIGTERM', () => {}); ${SERVE}`
  const running = supervise([nodeSpec('leaving', leaving, ignores)])
  await running.start()
  const added = running.add(nodeSpec('starting', starting, 'setInterval(() => {}, 1000)')).catch((e: unknown) => e)
  const removed = running.remove('leaving', 60_000)
  const pids = [pidOf(running, 'starting'), pidOf(running, 'leaving')]
  await running.stop()
  await removed
  expect(await added).toMatchObject({ code: 'CANCELLED' })
  expect(pids.map(runs)).toEqual([false, false])
  await expect(running.add(nodeSpec('late', late, SERVE))).rejects.toMatchObject({ code: 'CANCELLED' })
})

test('children of a start that was killed are ended by the next one', async () => {
  const [port = 0] = await freePorts(1)
  const earlier = supervise([nodeSpec('web', port, SERVE)], false)
  await earlier.start()
  const pid = pidOf(earlier, 'web')
  expect(await killStale(join(folder, 'run'), AbortSignal.timeout(30_000))).toEqual(['web'])
  expect(runs(pid)).toBe(false)
})

test('a killed process counts as running until its ports are free', async () => {
  const ports = await freePorts(8)
  // Much memory takes a while to give back, and the first of its threads is gone by then.
  const large = `globalThis.held = Array.from({ length: 10 }, () => Buffer.alloc(20e6, 1)); ${SERVE}`
  for (const [index, port] of ports.entries()) {
    const running = supervise([nodeSpec(`large-${String(index)}`, port, large)], false)
    await running.start()
    await killStale(join(folder, 'run'), AbortSignal.timeout(30_000))
    await checkPortsFree([{ port, use: 'test' }], '127.0.0.1')
  }
})

test('a pid file whose process is another one by now ends nobody', async () => {
  const pids = join(folder, 'run')
  rememberPid(pids, 'me', process.pid)
  const file = join(pids, 'me.pid')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/ .+/, ' 12345'))
  expect(await killStale(pids, AbortSignal.timeout(30_000))).toEqual([])
})

test('a log beyond its bound moves to one older copy, and the child writes on', async () => {
  const [port = 0] = await freePorts(1)
  const running = supervise([nodeSpec('web', port, `setInterval(() => console.log('x'.repeat(99)), 5); ${SERVE}`)])
  await running.start()
  const { logPath } = running.child('web')
  await eventually('some lines', () => statSync(logPath).size > 1_000)
  rotateIfLarge(logPath, 1_000)
  expect(statSync(`${logPath}.1`).size).toBeGreaterThan(1_000)
  await eventually('new lines', () => statSync(logPath).size > 100)
  // Appended from the start of the file, not at the old offset: no hole of zero bytes.
  expect(readFileSync(logPath, 'utf8')).toMatch(/^x{99}\n/)
})

test('what a killed test run left behind is ended and removed, what another one uses is not', async () => {
  const [port = 0, other = 0] = await freePorts(2)
  const leftBy = async (owner: string, name: string, at: number): Promise<number> => {
    const home = join(folder, `mesh-${owner}`)
    mkdirSync(home)
    writeFileSync(join(home, 'owner'), owner === 'me' ? formatIdentity(me) : `${String(gone)} 1\n`)
    const started = createSupervisor({
      specs: [nodeSpec(name, at, SERVE)],
      logsDir: join(home, 'logs'),
      pidsDir: join(home, 'run'),
      restarts: () => false,
      onEvent: () => undefined,
    })
    await started.start()
    return pidOf(started, name)
  }
  const me = identityOf(process.pid) ?? { pid: 0, startedAt: '' }
  const { pid: gone } = spawnSync(process.execPath, ['-e', ''])
  const abandoned = await leftBy('nobody', 'web', port)
  const used = await leftBy('me', 'web', other)
  await endAbandoned(folder, 'mesh-')
  expect([runs(abandoned), runs(used)]).toEqual([false, true])
  expect(readdirSync(folder)).toEqual(['mesh-me'])
  await killStale(join(folder, 'mesh-me', 'run'), AbortSignal.timeout(30_000))
})
