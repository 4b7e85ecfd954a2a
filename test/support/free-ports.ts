import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Below the range that systems hand out to outgoing connections, so nobody takes one before we listen on it. */
const LOWEST = 10_240
const HIGHEST = 32_000
const MOST_TRIES = 1_000
/** A file for each port that a test process has been given: others leave it alone until that process has ended. */
const GIVEN = join(tmpdir(), 'millrace-test-ports')

const mine = new Set<number>()
process.once('exit', () => {
  for (const port of mine) rmSync(join(GIVEN, String(port)), { force: true })
})

/** Ports nobody listens on, all different, given to no other process of tests that runs. */
export async function freePorts(count: number): Promise<number[]> {
  mkdirSync(GIVEN, { recursive: true })
  const held: { port: number; server: Server }[] = []
  try {
    for (let tries = 0; held.length < count; tries++) {
      if (tries > MOST_TRIES) throw new Error(`only ${String(held.length)} of ${String(count)} free ports found`)
      const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
      const server = isGiven(port) ? undefined : await tryListen(port)
      if (server) held.push({ port, server })
    }
    return held.map(({ port }) => port)
  } finally {
    await Promise.all(held.map(({ server }) => new Promise((done) => server.close(done))))
  }
}

/** Whether another process has it; if not, it is ours from now on. */
function isGiven(port: number): boolean {
  const file = join(GIVEN, String(port))
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' })
  } catch {
    if (mine.has(port) || isRunning(holderOf(file))) return true
    writeFileSync(file, String(process.pid)) // left behind by one that was killed
  }
  mine.add(port)
  return false
}

function holderOf(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return 0 // it has just been given back
  }
}

function isRunning(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}

function tryListen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(undefined)
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      resolve(server)
    })
  })
}
