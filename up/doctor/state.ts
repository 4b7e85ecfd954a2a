/** The state folder: who holds it, and what an earlier start left; and whether the ports are free for a start. */
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { toServingError } from '../../kit/errors.ts'
import { checkPortsFree } from '../port-check.ts'
import { type PortUse } from '../ports.ts'
import { isRunning, parseIdentity, type ProcessIdentity } from '../process-identity.ts'
import { type Finding, ok, skipped, warning, wrong } from './finding.ts'

/** The `up` that uses a state folder, if one runs. */
export function runningUp(stateDir: string): ProcessIdentity | undefined {
  const holder = identityIn(join(stateDir, 'up.lock'))
  return holder !== undefined && isRunning(holder) ? holder : undefined
}

function identityIn(path: string): ProcessIdentity | undefined {
  try {
    return parseIdentity(readFileSync(path, 'utf8'))
  } catch {
    return undefined // no such file
  }
}

export function checkStateFolder(stateDir: string): Finding {
  if (!existsSync(stateDir)) return ok('state folder', `${stateDir} is not there yet; the first start makes it`)
  try {
    accessSync(stateDir, constants.W_OK)
  } catch {
    return wrong('state folder', `${stateDir} cannot be written`, 'correct its permissions, or use another --state-dir')
  }
  const holder = runningUp(stateDir)
  if (holder !== undefined)
    return ok('state folder', `${stateDir} is used by millrace up (process ${String(holder.pid)})`)
  const left = leftovers(join(stateDir, 'run'))
  if (left.length > 0)
    return warning(
      'state folder',
      `${left.join(', ')} still run, without the millrace up that started them`,
      'the next start ends them',
    )
  return ok('state folder', `${stateDir} is free`)
}

/** Children that are remembered and still run. */
function leftovers(pidsDir: string): readonly string[] {
  if (!existsSync(pidsDir)) return []
  return readdirSync(pidsDir)
    .filter((file) => file.endsWith('.pid'))
    .flatMap((file) => {
      const identity = identityIn(join(pidsDir, file))
      return identity !== undefined && isRunning(identity) ? [file.slice(0, -'.pid'.length)] : []
    })
}

/** Of a Millrace that runs the ports are taken, and should be. */
export async function checkPorts(uses: readonly PortUse[], host: string, runs: boolean): Promise<Finding> {
  if (runs) return skipped('ports', 'held by the running Millrace')
  try {
    await checkPortsFree(uses, host)
    return ok('ports', `all ${String(uses.length)} are free`)
  } catch (error) {
    const { message } = toServingError(error)
    const fixAt = message.lastIndexOf('; ')
    return wrong('ports', message.slice(0, fixAt), message.slice(fixAt + 2))
  }
}
