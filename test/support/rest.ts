/** A REST API as tests call it: JSON in and out, and server-sent events. */
import { fetch, Agent, type Dispatcher } from 'undici'

export interface RestAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

export interface RestClient {
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<RestAnswer>
  events(path: string, headers?: Record<string, string>): Promise<EventSource>
}

export interface ServerEvent {
  readonly event: string
  readonly data: unknown
  /** The last id that was said, with this event or before it. */
  readonly id: string
}

export interface EventSource {
  /** Waits for an event, also one that came already; fails after 15 s with what came. */
  until(wanted: (event: ServerEvent) => boolean): Promise<ServerEvent>
  readonly events: readonly ServerEvent[]
  readonly ended: Promise<void>
  readonly lastId: () => string
  close(): void
}

const WAIT_MS = 15_000

/** `base` as in `http://127.0.0.1:9006`. */
export function createRestClient(base: string, dispatcher: Dispatcher = new Agent()): RestClient {
  return {
    call: async (method, path, body, headers = {}) => {
      const response = await fetch(`${base}${path}`, {
        method,
        dispatcher,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(WAIT_MS),
      })
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.includes('json') === true
      return {
        status: response.status,
        headers: new Headers([...response.headers]),
        body: isJson ? (JSON.parse(text) as unknown) : text,
      }
    },
    events: async (path, headers = {}) => {
      const abort = new AbortController()
      const response = await fetch(`${base}${path}`, { dispatcher, headers, signal: abort.signal })
      if (response.status !== 200 || response.body === null)
        throw new Error(`${path} answered ${String(response.status)}: ${await response.text()}`)
      return readEvents(response.body as unknown as AsyncIterable<Uint8Array>, abort)
    },
  }
}

function readEvents(body: AsyncIterable<Uint8Array>, abort: AbortController): EventSource {
  const events: ServerEvent[] = []
  const looking = new Set<() => void>()
  let id = ''
  const take = (block: string): void => {
    const fields = block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string?])
    const value = (name: string): string | undefined => fields.find(([field]) => field === name)?.[1]
    id = value('id') ?? id
    const data = value('data')
    if (data !== undefined) events.push({ event: value('event') ?? 'message', data: JSON.parse(data) as unknown, id })
    for (const look of looking) look()
  }
  const reading = async (): Promise<void> => {
    let text = ''
    const decoder = new TextDecoder()
    try {
      for await (const chunk of body) {
        text += decoder.decode(chunk, { stream: true })
        const blocks = text.split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) take(block)
      }
    } catch (error) {
      if (!abort.signal.aborted) throw error
    }
  }
  const ended = reading()
  return {
    events,
    ended,
    lastId: () => id,
    until: (wanted) =>
      new Promise((resolve, reject) => {
        const finish = (settle: () => void): void => {
          clearTimeout(deadline)
          looking.delete(look)
          settle()
        }
        const look = (): void => {
          const found = events.find(wanted)
          if (found !== undefined) finish(() => resolve(found))
        }
        const deadline = setTimeout(() => {
          finish(() => reject(new Error(`it did not come; there came ${JSON.stringify(events)}`)))
        }, WAIT_MS)
        looking.add(look)
        look()
      }),
    close: () => {
      abort.abort()
    },
  }
}
