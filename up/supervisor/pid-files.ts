/** Which processes are ours, on disk: so that a start after a `kill -9` finds and ends what was left running. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../../kit/backoff.ts'
import { ServingError } from '../../kit/errors.ts'
import { formatIdentity, identityOf, isRunning, parseIdentity } from '../process-identity.ts'

const DEATH_DEADLINE_MS = 5_000
const LOOK_EVERY_MS = 20

const fileOf = (folder: string, name: string): string => join(folder, `${name}.pid`)

/** Remembers a child that was just spawned. */
export function rememberPid(folder: string, name: string, pid: number): void {
  const identity = identityOf(pid)
  if (identity === undefined) return // it died at once
  mkdirSync(folder, { recursive: true })
  writeFileSync(fileOf(folder, name), formatIdentity(identity))
}

export function forgetPid(folder: string, name: string): void {
  rmSync(fileOf(folder, name), { force: true })
}

/**
 * Kills the process groups of remembered children that still run, and waits until they are gone.
 * @returns their names. @throws ServingError PROCESS_FAILED when one does not go
 */
export async function killStale(folder: string, signal: AbortSignal): Promise<string[]> {
  mkdirSync(folder, { recursive: true })
  const killed: string[] = []
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.pid'))) {
    const identity = parseIdentity(readFileSync(join(folder, file), 'utf8'))
    // The start time proves that the pid was not given to a stranger since.
    if (identity !== undefined && isRunning(identity)) {
      process.kill(-identity.pid, 'SIGKILL')
      const giveUpAt = performance.now() + DEATH_DEADLINE_MS
      while (isRunning(identity)) {
        if (signal.aborted) throw new ServingError('CANCELLED', 'stopped while ending earlier processes')
        if (performance.now() > giveUpAt)
          throw new ServingError(
            'PROCESS_FAILED',
            `process ${String(identity.pid)} of an earlier start does not end: stop it`,
          )
        await pause(LOOK_EVERY_MS, signal)
      }
      killed.push(file.slice(0, -'.pid'.length))
    }
    rmSync(join(folder, file), { force: true })
  }
  return killed
}
