/** Many requests over a few kept HTTP/2 connections, REST and gRPC alike, as fast as one process can ask. */
import { type ClientHttp2Session, connect } from 'node:http2'
import { once } from 'node:events'

export interface Ask {
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface Told {
  readonly status: number
  /** All values of `x-seldon-route`. */
  readonly route: string
}

export interface KeptConnections {
  readonly count: number
  ask(connection: number, ask: Ask): Promise<Told>
  /** Makes all of these requests, in turn over the connections, some at a time on each. */
  askAll(asks: readonly Ask[]): Promise<Told[]>
  /** Connections that went away, or were told to. */
  readonly lost: number
  close(): void
}

const DEADLINE_MS = 30_000
const AT_A_TIME = 8

export async function keepConnections(port: number, count: number): Promise<KeptConnections> {
  let lost = 0
  let closing = false
  const sessions = await Promise.all(
    Array.from({ length: count }, async () => {
      const session = connect(`http://127.0.0.1:${String(port)}`)
      await once(session, 'connect')
      const lose = () => {
        if (!closing) lost += 1
      }
      session.once('close', lose)
      session.once('goaway', lose)
      session.on('error', lose)
      return session
    }),
  )
  const ask = (connection: number, what: Ask): Promise<Told> => {
    const session = sessions[connection % count]
    if (session === undefined) throw new Error('there is no connection')
    return exchange(session, what)
  }
  return {
    count,
    ask,
    askAll: async (asks) => {
      const told: Told[] = []
      let next = 0
      const runner = async (connection: number) => {
        while (next < asks.length) {
          const index = next++
          const what = asks[index]
          if (what !== undefined) told[index] = await ask(connection, what)
        }
      }
      await Promise.all(Array.from({ length: count * AT_A_TIME }, (_, index) => runner(index)))
      return told
    },
    get lost() {
      return lost
    },
    close: () => {
      closing = true
      for (const session of sessions) session.destroy()
    },
  }
}

function exchange(session: ClientHttp2Session, { path, headers, body }: Ask): Promise<Told> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': path, ...headers })
    stream.setTimeout(DEADLINE_MS, () => {
      stream.destroy(new Error(`no answer to ${path} within ${String(DEADLINE_MS)} ms`))
    })
    let told: Told | undefined
    stream.once('response', (response) => {
      told = { status: Number(response[':status']), route: [response['x-seldon-route'] ?? []].flat().join(' ') }
    })
    stream.once('error', reject)
    stream.once('close', () => {
      if (told === undefined) reject(new Error(`${path} got no answer`))
      else resolve(told)
    })
    stream.resume()
    stream.end(body)
  })
}
