import type { ClientReadableStream } from '@grpc/grpc-js'

const WAIT_MS = 15_000

/** A stream's messages as they come, and a wait for one of them. */
export function collectStream<Message>(stream: ClientReadableStream<Message>) {
  const messages: Message[] = []
  const waiting = new Set<() => void>()
  stream.on('error', () => undefined)
  stream.on('data', (message: Message) => {
    messages.push(message)
    for (const look of waiting) look()
  })
  const until = (wanted: (message: Message) => boolean): Promise<Message> =>
    new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        reject(new Error(`it did not come; there came ${JSON.stringify(messages)}`))
      }, WAIT_MS)
      const look = (): void => {
        const found = messages.find(wanted)
        if (found === undefined) return
        clearTimeout(deadline)
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { messages, until }
}

/** All messages of a stream that ends, or its error. */
export async function all<Message>(stream: ClientReadableStream<Message>): Promise<Message[]> {
  const messages: Message[] = []
  for await (const message of stream) messages.push(message as Message)
  return messages
}
