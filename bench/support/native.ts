/** Builds and runs the native parts: the instant OIP server and the load generator, pinned to one core. */
import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import type { NodeLoadOptions } from './node-load.ts'

const run = promisify(execFile)
const BUILD_DEADLINE_MS = 300_000

export interface NativeTools {
  readonly server: string
  readonly load: string
  readonly askEach: string
}

/** @throws ServingError TOOL_MISSING without Go; PROCESS_FAILED with the compiler's words. */
export async function buildNative(): Promise<NativeTools> {
  const folder = join(packageRoot, '.millrace', 'bench')
  mkdirSync(folder, { recursive: true })
  try {
    await run('go', ['build', '-o', folder, './cmd/...'], {
      cwd: join(packageRoot, 'bench/native'),
      timeout: BUILD_DEADLINE_MS,
    })
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new ServingError(
      missing ? 'TOOL_MISSING' : 'PROCESS_FAILED',
      missing
        ? 'the bench builds its load generator with Go >= 1.24: install it and put `go` on the PATH'
        : `go build failed: ${String(error)}`,
      { cause: error },
    )
  }
  return { server: join(folder, 'oip-server'), load: join(folder, 'load'), askEach: join(folder, 'ask-each') }
}

/** `taskset` prefix, so that Envoy has one core and everything else the other. */
const onCore = (core: number, command: readonly string[]): readonly string[] => [
  'taskset',
  '-c',
  String(core),
  ...command,
]

/** Pins every thread of a running process. */
export async function pin(pid: number, core: number): Promise<void> {
  await run('taskset', ['-a', '-c', '-p', String(core), String(pid)])
}

export interface LoadRound {
  readonly requests: number
  readonly seconds: number
  readonly p50Us: number
  readonly p99Us: number
}

/** One round of load. @throws ServingError PROCESS_FAILED when any request failed. */
export async function runLoad(
  tools: NativeTools,
  core: number,
  options: {
    protocol: 'rest' | 'grpc'
    address: string
    connections: number
    seconds: number
    model?: string
    calls?: number
  },
): Promise<LoadRound> {
  const flags = Object.entries(options).map(([key, value]) => `-${key}=${String(value)}`)
  const [program = '', ...rest] = onCore(core, [tools.load, ...flags])
  return await loadRound(program, rest, options.seconds)
}

/** The same load from a Node process; what it needs to get warm comes before. */
export async function runNodeLoad(core: number, options: NodeLoadOptions): Promise<LoadRound> {
  const script = join(packageRoot, 'bench/support/node-load.ts')
  const command = [process.execPath, '--import', 'tsx', script, JSON.stringify(options)]
  const [program = '', ...rest] = onCore(core, command)
  return await loadRound(program, rest, options.seconds)
}

async function loadRound(program: string, args: readonly string[], seconds: number): Promise<LoadRound> {
  const { stdout } = await run(program, [...args], { timeout: seconds * 1000 + 15_000 }).catch((error: unknown) => {
    throw new ServingError(
      'PROCESS_FAILED',
      `load round failed: ${String((error as { stdout?: string }).stdout ?? error)}`,
      { cause: error },
    )
  })
  const parsed = JSON.parse(stdout) as { requests: number; seconds: number; p50_us: number; p99_us: number }
  return { requests: parsed.requests, seconds: parsed.seconds, p50Us: parsed.p50_us, p99Us: parsed.p99_us }
}
