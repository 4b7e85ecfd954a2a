/** What every client of the library gets: where to connect, how, and how often to try. */
import { readFileSync } from 'node:fs'
import { Admin, type BaseOptions, type Consumer, type Producer } from '@platformatic/kafka'
import type { KafkaConnection } from './connection.ts'

const CONNECT_TIMEOUT_MS = 3_000
/** Requests that a broker answers late; long polls add their wait. */
const REQUEST_TIMEOUT_MS = 10_000
/** Until a topic's leaders are asked for again; a leader that moved is noticed at once. */
const METADATA_AGE_MS = 300_000

export function libraryOptions({ bootstrapServers, tls, sasl }: KafkaConnection, clientId: string): BaseOptions {
  return {
    clientId,
    bootstrapBrokers: [...bootstrapServers],
    connectTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retries: 5,
    retryDelay: 100,
    metadataMaxAge: METADATA_AGE_MS,
    autocreateTopics: false,
    ...(tls === undefined
      ? {}
      : {
          tlsServerName: true,
          tls: {
            ...(tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) }),
            ...(tls.certFile === undefined ? {} : { cert: readFileSync(tls.certFile) }),
            ...(tls.keyFile === undefined ? {} : { key: readFileSync(tls.keyFile) }),
            ...(tls.checkHostName ? {} : { checkServerIdentity: () => undefined }),
          },
        }),
    ...(sasl === undefined
      ? {}
      : {
          sasl: {
            mechanism: sasl.mechanism,
            username: sasl.username,
            password: () => readFileSync(sasl.passwordFile, 'utf8').trim(),
          },
        }),
  }
}

/** With whatever is on its way; an error of closing changes nothing. */
export const closeNow = (client: Admin | Consumer | Producer): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      resolve()
    }
    if (client instanceof Admin) client.close(done)
    else client.close(true, done)
  })
