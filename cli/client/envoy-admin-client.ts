/** Reads an Envoy's admin port. */
import { ServingError } from '../../kit/errors.ts'

export interface EnvoyAdminClient {
  readonly url: URL
  /** @throws ServingError ENVOY_UNAVAILABLE */
  getJson(path: string): Promise<unknown>
}

const DEADLINE_MS = 10_000

export function createEnvoyAdminClient(url: URL): EnvoyAdminClient {
  return {
    url,
    async getJson(path) {
      try {
        const response = await fetch(new URL(path, url), { signal: AbortSignal.timeout(DEADLINE_MS) })
        if (!response.ok) throw new Error(`status ${String(response.status)}`)
        return await response.json()
      } catch (error) {
        const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
        const reason = cause instanceof Error ? cause.message : String(cause)
        throw new ServingError('ENVOY_UNAVAILABLE', `Envoy's admin port at ${url.host}: ${reason}`, { cause: error })
      }
    },
  }
}
