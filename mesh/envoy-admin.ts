/** Reads Envoy's admin port. Every read has a deadline and a largest size. */
import { ServingError } from '../kit/errors.ts'

export interface EnvoyAdmin {
  /** @throws ServingError ENVOY_UNAVAILABLE */
  get(path: string): Promise<string>
}

interface Options {
  readonly adminUrl: string
  readonly deadlineMs: number
  readonly maxBytes: number
}

export function createEnvoyAdmin({ adminUrl, deadlineMs, maxBytes }: Options): EnvoyAdmin {
  return {
    async get(path) {
      try {
        const response = await fetch(new URL(path, adminUrl), { signal: AbortSignal.timeout(deadlineMs) })
        const body = await readBounded(response, maxBytes)
        if (!response.ok) throw new Error(`status ${String(response.status)}: ${body.slice(0, 200)}`)
        return body
      } catch (error) {
        throw new ServingError(
          'ENVOY_UNAVAILABLE',
          `Envoy's admin port at ${adminUrl}: ${toReason(error, deadlineMs)}`,
          {
            cause: error,
          },
        )
      }
    },
  }
}

async function readBounded(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) throw new Error(`the answer has more than ${String(maxBytes)} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function toReason(error: unknown, deadlineMs: number): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `no answer within ${String(deadlineMs)} ms`
  // fetch hides the reason one level down.
  return error.cause instanceof Error ? error.cause.message || error.cause.name : error.message
}
