/** The fleet against a supervisor whose processes end and fail as the test says. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ServingError } from '../../../../kit/errors.ts'
import { replicaPorts } from '../../../../up/ports.ts'
import { createFleet, type Fleet } from '../../../../up/servers/fleet.ts'
import { planReplica } from '../../../../up/servers/replica-plan.ts'

const RETRY_WITHIN_MS = 31_000

let folder = ''
let fleet: Fleet
const running = new Set<string>()
const calls: string[] = []
const told: string[] = []
let portsTaken = false
let startFails: string | undefined
/** Processes that do not end before they are let go. */
const holding = new Map<string, () => void>()
let held: string | undefined

beforeEach(() => {
  vi.useFakeTimers()
  folder = mkdtempSync(join(tmpdir(), 'millrace-fleet-'))
  running.clear()
  calls.length = 0
  told.length = 0
  portsTaken = false
  startFails = undefined
  held = undefined
  fleet = createFleet({
    supervisor: {
      add: (spec) => {
        calls.push(`add ${spec.name}`)
        if (startFails === spec.name) return Promise.reject(new ServingError('PROCESS_FAILED', 'it broke'))
        running.add(spec.name)
        return Promise.resolve()
      },
      remove: async (name) => {
        calls.push(`remove ${name}`)
        if (held === name) await new Promise<void>((done) => holding.set(name, done))
        running.delete(name)
      },
    },
    plan: (server, index) =>
      Promise.resolve(
        planReplica({
          server,
          kind: server,
          index,
          ports: replicaPorts(server, index, 0),
          millrace: ['node', 'millrace.js'],
          modelServer: ['server'],
          host: '127.0.0.1',
          folder,
          ingressPort: 1,
          agentsPort: 1,
          artifactRoots: [],
          drainDeadlineMs: 1,
          extraFlags: {},
        }),
      ),
    checkPorts: () =>
      portsTaken
        ? Promise.reject(new ServingError('PORT_IN_USE', 'in use: port 9100 (model server REST)'))
        : Promise.resolve(),
    untilConnected: (server, index) => {
      calls.push(`await agent of ${server}-${String(index)}`)
      return Promise.resolve()
    },
    tell: (line) => told.push(line),
    nowMs: Date.now,
  })
})

afterEach(async () => {
  for (const letGo of holding.values()) letGo()
  holding.clear()
  await fleet.stop()
  vi.useRealTimers()
  rmSync(folder, { recursive: true, force: true })
})

const settled = () => vi.advanceTimersByTimeAsync(0)

test('a first start brings up everything that is wanted, server and agent of each', async () => {
  fleet.want('embedded', 2)
  await fleet.startWanted()
  expect([...running].toSorted()).toEqual(['agent-embedded-0', 'agent-embedded-1', 'embedded-0', 'embedded-1'])
  expect(told).toEqual([])
})

test('a first start fails with the reason of what does not start, of which nothing is left', async () => {
  startFails = 'agent-embedded-0'
  fleet.want('embedded', 1)
  await expect(fleet.startWanted()).rejects.toThrow('it broke')
  expect([...running]).toEqual([])
})

test('scaling down drains agents one after the other, highest first, each before its server ends', async () => {
  fleet.want('embedded', 3)
  await fleet.startWanted()
  fleet.keep()
  calls.length = 0
  held = 'agent-embedded-2'
  fleet.want('embedded', 1)
  await settled()
  expect(calls).toEqual(['await agent of embedded-2', 'remove agent-embedded-2'])
  holding.get('agent-embedded-2')?.()
  await settled()
  expect(calls.slice(1)).toEqual([
    'remove agent-embedded-2',
    'remove embedded-2',
    'await agent of embedded-1',
    'remove agent-embedded-1',
    'remove embedded-1',
  ])
  expect([...running].toSorted()).toEqual(['agent-embedded-0', 'embedded-0'])
  expect(told).toEqual([
    'draining server replica embedded/2',
    'server replica embedded/2 has stopped',
    'draining server replica embedded/1',
    'server replica embedded/1 has stopped',
  ])
})

test('one that is wanted again while it drains is started when it has stopped', async () => {
  fleet.want('embedded', 1)
  await fleet.startWanted()
  fleet.keep()
  held = 'agent-embedded-0'
  fleet.want('embedded', 0)
  await settled()
  fleet.want('embedded', 1)
  await settled()
  holding.get('agent-embedded-0')?.()
  await settled()
  expect(told.slice(-2)).toEqual(['starting server replica embedded/0', 'server replica embedded/0 runs'])
  expect([...running].toSorted()).toEqual(['agent-embedded-0', 'embedded-0'])
})

test('ports that are taken are told once, and tried again until they are free', async () => {
  fleet.keep()
  portsTaken = true
  fleet.want('embedded', 1)
  await vi.advanceTimersByTimeAsync(3 * RETRY_WITHIN_MS)
  expect(told).toEqual([
    'starting server replica embedded/0',
    'server replica embedded/0 cannot be started, it is tried again by itself: in use: port 9100 (model server REST)',
  ])
  portsTaken = false
  await vi.advanceTimersByTimeAsync(RETRY_WITHIN_MS)
  expect(told.at(-1)).toBe('server replica embedded/0 runs')
  expect([...running].toSorted()).toEqual(['agent-embedded-0', 'embedded-0'])
})

test('one that fails and is not wanted any more is not tried again', async () => {
  fleet.keep()
  startFails = 'embedded-0'
  fleet.want('embedded', 1)
  await settled()
  fleet.want('embedded', 0)
  startFails = undefined
  calls.length = 0
  await vi.advanceTimersByTimeAsync(2 * RETRY_WITHIN_MS)
  expect(calls).toEqual([])
  expect([...running]).toEqual([])
})

test('after a stop nothing is begun', async () => {
  fleet.keep()
  await fleet.stop()
  fleet.want('embedded', 1)
  await settled()
  expect(calls).toEqual([])
})
