/** One Envoy with a static bootstrap: no control plane, no other process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Json } from '../../xds/proto/encode.ts'

const START_DEADLINE_MS = 60_000
const SERVING = 'starting main dispatch loop'

export interface StaticEnvoy {
  /** `millrace.` counters and gauges of the admin port whose name matches. */
  stats(filter: string): Promise<Map<string, number>>
  readonly alive: boolean
  /** Lines that Envoy logged. */
  readonly log: readonly string[]
  stop(): Promise<void>
}

function envoyBinary(): string {
  const path = process.env['MILLRACE_TEST_ENVOY']
  if (path === undefined) throw new Error('MILLRACE_TEST_ENVOY is not set: test/support/tools-setup.ts sets it')
  return path
}

/** Starts Envoy, with one worker unless told, and waits until its workers run. */
export async function startStaticEnvoy(bootstrap: Json, adminPort: number, workers = 1): Promise<StaticEnvoy> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-static-envoy-'))
  const path = join(folder, 'bootstrap.json')
  writeFileSync(path, JSON.stringify(bootstrap))
  const child = spawn(
    envoyBinary(),
    ['-c', path, '--concurrency', String(workers), '--use-dynamic-base-id', '--log-level', 'info'],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  const log: string[] = []
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await untilServing(child, log)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    stats: (filter) => readStats(adminPort, filter),
    get alive() {
      return child.exitCode === null && child.signalCode === null
    },
    log,
    stop,
  }
}

function untilServing(child: ChildProcess, log: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string) => {
      clearTimeout(deadline)
      reject(new Error(`${reason}:\n${log.slice(-20).join('\n')}`))
    }
    const deadline = setTimeout(() => {
      fail(`Envoy did not start within ${String(START_DEADLINE_MS)} ms`)
    }, START_DEADLINE_MS)
    child.once('error', (error) => {
      fail(`Envoy cannot be run (${error.message})`)
    })
    child.once('exit', (code) => {
      fail(`Envoy ended with ${String(code)}`)
    })
    if (child.stderr === null) throw new Error('no standard error of Envoy')
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line)
      if (!line.includes(SERVING)) return
      clearTimeout(deadline)
      resolve()
    })
  })
}

async function readStats(adminPort: number, filter: string): Promise<Map<string, number>> {
  const url = `http://127.0.0.1:${String(adminPort)}/stats?filter=${encodeURIComponent(filter)}`
  const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) })
  const stats = new Map<string, number>()
  for (const line of (await answer.text()).split('\n')) {
    const separator = line.lastIndexOf(': ')
    const value = Number(line.slice(separator + 2))
    if (separator > 0 && Number.isFinite(value)) stats.set(line.slice(0, separator), value)
  }
  return stats
}
