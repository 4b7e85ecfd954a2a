import { createServer, type Server } from 'node:net'

/** Below the range that systems hand out to outgoing connections, so nobody takes one before we listen on it. */
const LOWEST = 10_240
const HIGHEST = 32_000
const MOST_TRIES = 1_000

/** Ports nobody listens on, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const held: { port: number; server: Server }[] = []
  try {
    for (let tries = 0; held.length < count; tries++) {
      if (tries > MOST_TRIES) throw new Error(`only ${String(held.length)} of ${String(count)} free ports found`)
      const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
      const server = await tryListen(port)
      if (server) held.push({ port, server })
    }
    return held.map(({ port }) => port)
  } finally {
    await Promise.all(held.map(({ server }) => new Promise((done) => server.close(done))))
  }
}

function tryListen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(undefined)
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      resolve(server)
    })
  })
}
