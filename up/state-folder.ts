import { accessSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ServingError } from '../kit/errors.ts'
import { tryLock } from './lock.ts'
import type { MeshPlan } from './plan.ts'
import { killStale } from './supervisor/pid-files.ts'

/** The folder of one running Millrace; nobody else uses it until `release`. */
export interface StateFolder {
  readonly path: string
  readonly logsDir: string
  readonly pidsDir: string
  /** Children of an earlier start that was killed, which ran on and were ended now. */
  readonly ended: readonly string[]
  readonly release: () => void
}

/** What `--fresh` forgets; tools and logs stay. */
const STATE_FOLDERS = ['state', 'models', 'envoy']

/** @throws ServingError ALREADY_RUNNING naming the process that uses the folder, CONFIG_INVALID when it is unusable */
export async function openStateFolder(path: string, signal: AbortSignal): Promise<StateFolder> {
  makeFolder(path)
  const lock = tryLock(join(path, 'up.lock'))
  if (lock.kind === 'taken') {
    const holder = lock.holder === undefined ? 'another process' : `process ${String(lock.holder.pid)}`
    throw new ServingError(
      'ALREADY_RUNNING',
      `a Millrace already runs in ${path} (${holder}): stop it first, or use --state-dir and --port-offset for another`,
    )
  }
  try {
    const pidsDir = join(path, 'run')
    const ended = await killStale(pidsDir, signal)
    return { path, logsDir: join(path, 'logs'), pidsDir, ended, release: lock.release }
  } catch (error) {
    lock.release()
    throw error
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
    accessSync(path, constants.W_OK)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('CONFIG_INVALID', `--state-dir: ${path} is no folder that can be written to: ${reason}`)
  }
}

export function wipeState(path: string): void {
  for (const name of STATE_FOLDERS) rmSync(join(path, name), { recursive: true, force: true })
}

/** Makes the folders and files that the planned processes expect. */
export function prepareFolder(plan: MeshPlan): void {
  for (const folder of plan.folders) mkdirSync(folder, { recursive: true })
  for (const file of plan.files) {
    mkdirSync(dirname(file.path), { recursive: true })
    rmSync(file.path, { force: true }) // an existing file would keep its mode
    writeFileSync(file.path, file.content, { mode: file.secret === true ? 0o600 : 0o644 })
  }
}
