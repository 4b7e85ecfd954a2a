/** A test run that was killed cannot clean up: the next one ends its processes and removes its folders. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatIdentity, identityOf, isRunning, parseIdentity } from '../../up/process-identity.ts'
import { killStale } from '../../up/supervisor/pid-files.ts'

const OWNER_FILE = 'owner'
const DEADLINE_MS = 10_000

/** Says that this process looks after the folder. */
export function ownFolder(folder: string): void {
  const identity = identityOf(process.pid)
  if (identity !== undefined) writeFileSync(join(folder, OWNER_FILE), formatIdentity(identity))
}

/** Ends and removes what lies in `parent` under that prefix and belongs to nobody any more. */
export async function endAbandoned(parent: string, prefix: string): Promise<void> {
  for (const name of readdirSync(parent).filter((entry) => entry.startsWith(prefix))) {
    const folder = join(parent, name)
    const owner = existsSync(join(folder, OWNER_FILE))
      ? parseIdentity(readFileSync(join(folder, OWNER_FILE), 'utf8'))
      : undefined
    if (owner === undefined || isRunning(owner)) continue // just being made, or in use
    await killStale(join(folder, 'run'), AbortSignal.timeout(DEADLINE_MS))
    rmSync(folder, { recursive: true, force: true })
  }
}
