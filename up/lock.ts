/**
 * Lock files that outlive no process: the file names its holder by pid and start time, so what a killed process left
 * behind is recognised and taken over.
 */
import { linkSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { pause } from '../kit/backoff.ts'
import { ServingError } from '../kit/errors.ts'
import { formatIdentity, identityOf, isRunning, parseIdentity, type ProcessIdentity } from './process-identity.ts'

type LockAttempt =
  | { readonly kind: 'held'; readonly release: () => void }
  | { readonly kind: 'taken'; readonly holder: ProcessIdentity | undefined }

/** A takeover takes milliseconds; one older than this was left by a process that died in it. */
const TAKEOVER_STALE_MS = 10_000
const WAIT_STEP_MS = 100

/** Takes the lock, or says who has it. */
export function tryLock(path: string): LockAttempt {
  mkdirSync(dirname(path), { recursive: true })
  const mine = identityOf(process.pid)
  if (mine === undefined) throw new ServingError('INVARIANT_BROKEN', 'this process has no start time')
  if (createWhole(path, formatIdentity(mine))) return held(path)
  const holder = readHolder(path)
  if (holder !== undefined && isRunning(holder)) return { kind: 'taken', holder }
  return takeOver(path, mine)
}

/** Waits for the lock. @throws ServingError ALREADY_RUNNING at the deadline, CANCELLED on the signal. */
export async function waitForLock(
  path: string,
  options: { deadlineMs: number; signal: AbortSignal; onWait: (pid: number | undefined) => void },
): Promise<{ readonly release: () => void }> {
  const giveUpAt = performance.now() + options.deadlineMs
  for (;;) {
    if (options.signal.aborted) throw new ServingError('CANCELLED', `stopped while waiting for ${path}`)
    const attempt = tryLock(path)
    if (attempt.kind === 'held') return attempt
    if (performance.now() > giveUpAt) {
      const who = attempt.holder === undefined ? 'another process' : `process ${String(attempt.holder.pid)}`
      throw new ServingError('ALREADY_RUNNING', `${who} has held ${path} too long: stop it, then start again`)
    }
    options.onWait(attempt.holder?.pid)
    await pause(WAIT_STEP_MS, options.signal)
  }
}

/** Creates the file with its content in one step, or returns false when it exists. */
function createWhole(path: string, content: string): boolean {
  const draft = `${path}.${String(process.pid)}`
  writeFileSync(draft, content)
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Two processes may find the same stale lock: only the one that makes the guard folder replaces it. */
function takeOver(path: string, mine: ProcessIdentity): LockAttempt {
  const guard = `${path}.takeover`
  try {
    mkdirSync(guard)
  } catch {
    const age = Date.now() - (statSync(guard, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (age > TAKEOVER_STALE_MS) rmSync(guard, { recursive: true, force: true })
    return { kind: 'taken', holder: undefined }
  }
  try {
    const holder = readHolder(path)
    if (holder !== undefined && isRunning(holder)) return { kind: 'taken', holder }
    rmSync(path, { force: true })
    return createWhole(path, formatIdentity(mine)) ? held(path) : { kind: 'taken', holder: readHolder(path) }
  } finally {
    rmdirSync(guard)
  }
}

function held(path: string): LockAttempt {
  return {
    kind: 'held',
    release: () => {
      if (readHolder(path)?.pid === process.pid) rmSync(path, { force: true })
    },
  }
}

function readHolder(path: string): ProcessIdentity | undefined {
  try {
    return parseIdentity(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}
