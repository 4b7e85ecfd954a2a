/** Reads an Envoy's admin port. */
import { ServingError } from '../../kit/errors.ts'
import type { Session } from '../session.ts'
import { httpGet } from './http-get.ts'

export interface EnvoyAdminClient {
  readonly url: URL
  /** @throws ServingError ENVOY_UNAVAILABLE */
  getJson(path: string): Promise<unknown>
}

const DEADLINE_MS = 10_000

export function createEnvoyAdminClient(url: URL, { tls }: Pick<Session, 'tls'>): EnvoyAdminClient {
  return {
    url,
    async getJson(path) {
      try {
        const { status, text } = await httpGet(new URL(path, url), { tls, token: undefined }, DEADLINE_MS)
        if (status !== 200) throw new Error(`status ${String(status)}`)
        return JSON.parse(text)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        throw new ServingError('ENVOY_UNAVAILABLE', `Envoy's admin port at ${url.host}: ${reason}`, { cause: error })
      }
    },
  }
}
