/** Bytes straight into a port: what no client library would send. */
import { connect } from 'node:net'

const SOCKET_DEADLINE_MS = 10_000

/** Sends the bytes and ends its side; resolves with what came back when the other side has closed as well. */
export function sendBytes(port: number, bytes: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes))
    socket.setTimeout(SOCKET_DEADLINE_MS, () => {
      socket.destroy()
      reject(new Error(`the other side kept the connection open for ${String(SOCKET_DEADLINE_MS)} ms`))
    })
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => socket.destroy()) // a reset is a fair answer to garbage
    socket.on('close', () => {
      resolve(Buffer.concat(chunks))
    })
  })
}
