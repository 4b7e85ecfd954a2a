import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { ServingError } from '../kit/errors.ts'
import type { PortUse } from './ports.ts'

const LISTEN_STATE = '0A'

/** @throws ServingError PORT_IN_USE naming every port that is taken and, where it can be found, by whom */
export async function checkPortsFree(uses: readonly PortUse[], host: string): Promise<void> {
  const results = await Promise.all(uses.map(async (use) => ({ ...use, free: await isFree(use.port, host) })))
  const taken = results.filter((result) => !result.free)
  if (taken.length === 0) return
  const named = taken.map(({ port, use }) => `${String(port)} (${use}${heldBy(port)})`)
  throw new ServingError(
    'PORT_IN_USE',
    `in use: port ${named.join(', ')}; stop what holds it, or start with another --port-offset`,
  )
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen({ port, host, exclusive: true }, () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}

function heldBy(port: number): string {
  const pid = existsSync('/proc/net/tcp') ? listenerFromProc(port) : listenerFromLsof(port)
  if (pid === undefined) return ''
  const { stdout } = spawnSync('ps', ['-o', 'comm=', '-p', String(pid)], { encoding: 'utf8' })
  const command = stdout?.trim() ?? ''
  return `, held by process ${String(pid)}${command === '' ? '' : ` ${command}`}`
}

/** The pid that listens on a port, of the processes we may look into. */
function listenerFromProc(port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const sockets = new Set(
    ['/proc/net/tcp', '/proc/net/tcp6']
      .filter((path) => existsSync(path))
      .flatMap((path) => readFileSync(path, 'utf8').split('\n').slice(1))
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[1]?.endsWith(suffix) === true && fields[3] === LISTEN_STATE)
      .map((fields) => `socket:[${fields[9] ?? ''}]`),
  )
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).find((pid) => openFiles(pid).some((target) => sockets.has(target)))
}

function openFiles(pid: number): string[] {
  const folder = `/proc/${String(pid)}/fd`
  try {
    return readdirSync(folder).map((name) => {
      try {
        return readlinkSync(`${folder}/${name}`)
      } catch {
        return '' // closed since
      }
    })
  } catch {
    return [] // another user's, or gone
  }
}

function listenerFromLsof(port: number): number | undefined {
  const { stdout } = spawnSync('lsof', ['-nP', `-iTCP:${String(port)}`, '-sTCP:LISTEN', '-t'], { encoding: 'utf8' })
  const pid = Number.parseInt(stdout ?? '', 10)
  return Number.isNaN(pid) ? undefined : pid
}
