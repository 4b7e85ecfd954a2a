/** A real redis-server on a free port, of its own folder, for one test file. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

const START_DEADLINE_MS = 60_000

export interface TestRedis {
  readonly url: string
  readonly port: number
  /** Kill -9: nothing is flushed that was not before. */
  kill(): Promise<void>
  /** Starts again on the same port and folder. */
  start(): Promise<void>
  /** SIGSTOP: the port accepts, nothing answers. */
  pause(): void
  resume(): void
  /** One command, as another client sends it. */
  command(name: string, ...parameters: string[]): Promise<unknown>
  stop(): Promise<void>
}

/** Starts one with `appendfsync always`, as `millrace up` does; `options` are further command line options. */
export async function startRedis(options: readonly string[] = []): Promise<TestRedis> {
  const binary = process.env['MILLRACE_TEST_REDIS']
  if (binary === undefined || binary === '')
    throw new Error('MILLRACE_TEST_REDIS is not set: run the tests with `npm test`, which finds a redis-server')
  const folder = mkdtempSync(join(tmpdir(), 'millrace-redis-'))
  const port = await freePort()
  const url = `redis://127.0.0.1:${String(port)}`
  const parameters = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always']
  let child: ChildProcess

  const start = async (): Promise<void> => {
    child = spawn(binary, [...parameters, ...durable, ...options], { stdio: 'ignore' })
    await answersPing(url, child)
  }
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  await start()
  return {
    url,
    port,
    kill,
    start,
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    command: async (name, ...given) => {
      const client = new Redis(url)
      try {
        return await client.call(name, ...given)
      } finally {
        client.disconnect()
      }
    },
    stop: async () => {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function answersPing(url: string, child: ChildProcess): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20 })
  redis.on('error', () => undefined)
  const deadline = new AbortController()
  try {
    await Promise.race([
      redis.ping(),
      once(child, 'exit', { signal: deadline.signal }).then(([code]) => {
        throw new Error(`redis-server exited with ${String(code)} before it answered`)
      }),
      sleep(START_DEADLINE_MS, undefined, { signal: deadline.signal }).then(() => {
        throw new Error('redis-server did not answer in time')
      }),
    ])
  } finally {
    deadline.abort()
    redis.disconnect()
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
