/** `millrace up` as a user runs it: a process of its own, spoken to by its output, signals and exit status. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../kit/root.ts'
import { checkPortsFree } from '../../up/port-check.ts'
import { portUses, standardPorts } from '../../up/ports.ts'
import { parseIdentity, type ProcessIdentity } from '../../up/process-identity.ts'
import { eventually } from './child-processes.ts'

const RUNNING_LINE = 'Millrace is running'
const START_DEADLINE_MS = 90_000
/** Several times what is promised, 5 s. */
export const UP_STOP_MS = 30_000

export interface UpProcess {
  readonly process: ChildProcess
  output(): string
  /** Resolves when it says that everything runs. */
  running(): Promise<void>
  /** Resolves when its output holds the text. */
  says(text: string, deadlineMs?: number): Promise<void>
  exit(deadlineMs: number): Promise<number | null>
  /** SIGTERM, unless it has ended. */
  end(): Promise<void>
}

export function runUp(folder: string, portOffset: number, flags: readonly string[]): UpProcess {
  const args = ['up', '--state-dir', folder, '--port-offset', String(portOffset), ...flags]
  const child = spawn(process.execPath, [join(packageRoot, 'dist/bin/millrace.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
    })
  const ended = new Promise<void>((resolve) =>
    child.once('close', () => {
      resolve()
    }),
  )
  const up: UpProcess = {
    process: child,
    output: () => text,
    running: () => up.says(RUNNING_LINE),
    says: async (wanted, deadlineMs = START_DEADLINE_MS) => {
      try {
        await eventually(JSON.stringify(wanted), () => text.includes(wanted) || child.exitCode !== null, deadlineMs)
      } catch (error) {
        throw new Error(`${String(error)}; it said:\n${text}`, { cause: error })
      }
      if (!text.includes(wanted)) throw new Error(`it ended with ${String(child.exitCode)}:\n${text}`)
    },
    exit: async (deadlineMs) => {
      await eventually(`the end of millrace up`, () => child.exitCode !== null || child.signalCode !== null, deadlineMs)
      await ended
      return child.exitCode
    },
    end: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await up.exit(UP_STOP_MS)
    },
  }
  return up
}

/** The children of an `up` that its pid files name, by name. */
export function childrenOf(folder: string): ReadonlyMap<string, ProcessIdentity> {
  const pids = join(folder, 'run')
  return new Map(
    readdirSync(pids).flatMap((file) => {
      const identity = identityIn(join(pids, file))
      return identity === undefined ? [] : [[file.replace(/\.pid$/, ''), identity] as const]
    }),
  )
}

/** Undefined: the file is just being written, or was taken away since it was listed. */
function identityIn(path: string): ProcessIdentity | undefined {
  try {
    return parseIdentity(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}

/** A --port-offset of which the ports of so many replicas are free and below those of outgoing connections. */
export async function freePortOffset(replicas: number): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const candidate = 2_000 + Math.floor(Math.random() * 19_000)
    const free = await checkPortsFree(portUses(standardPorts(candidate, replicas)), '127.0.0.1').then(
      () => true,
      () => false,
    )
    if (free) return candidate
  }
  throw new Error('no free --port-offset found')
}
