import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A pid is reused by the system; a pid with its start time is one process. */
export interface ProcessIdentity {
  readonly pid: number
  readonly startedAt: string
}

/** The identity of a running process; undefined when there is none with this pid (a zombie does not run). */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const startedAt = process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
  return startedAt === undefined ? undefined : { pid, startedAt }
}

export function isRunning(identity: ProcessIdentity): boolean {
  return identityOf(identity.pid)?.startedAt === identity.startedAt
}

/** Parses `<pid> <start time>`, the text of pid and lock files. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  const match = /^(\d+) (.+)$/m.exec(text)
  return match?.[1] !== undefined && match[2] !== undefined ? { pid: Number(match[1]), startedAt: match[2] } : undefined
}

export const formatIdentity = (identity: ProcessIdentity): string => `${String(identity.pid)} ${identity.startedAt}\n`

function fromProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
    // The second field is the command in parentheses and may hold anything: count from its end (field 3 is the state).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ended = fields[0] === 'Z' || fields[0] === 'X'
    // The first thread may have ended while others still hold the ports: they all count.
    const threads = Number(fields[17])
    return ended && threads <= 1 ? undefined : fields[19]
  } catch {
    return undefined
  }
}

function fromPs(pid: number): string | undefined {
  const { stdout } = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
  const match = /^\s*(\S+)\s+(.+?)\s*$/.exec(stdout ?? '')
  return match?.[1]?.startsWith('Z') === false ? match[2] : undefined
}
