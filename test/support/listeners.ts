/** What listens on this machine, as the kernel tells it. */
import { readFileSync } from 'node:fs'

export interface Listener {
  readonly port: number
  readonly isLoopback: boolean
}

const LISTENING = '0A'
/** 127.0.0.1, as /proc writes it. */
const LOOPBACK = '0100007F'

export function readListeners(): readonly Listener[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) =>
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state]) => state === LISTENING)
      .map(([, local = '']) => {
        const [address, port = ''] = local.split(':')
        return { port: Number.parseInt(port, 16), isLoopback: address === LOOPBACK }
      }),
  )
}
