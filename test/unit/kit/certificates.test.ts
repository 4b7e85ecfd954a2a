import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Certificates as Watched, watchCertificates, type WatchedCertificates } from '../../../kit/certificates.ts'
import { type Logger, silentLogger } from '../../../kit/log.ts'
import { type Certificates, makeCertificates } from '../../support/certificates.ts'

let certificates: Certificates
let cert: string
let key: string
let watched: WatchedCertificates
let sentences: string[]
let nextSentence: () => void

const log: Logger = {
  ...silentLogger,
  error: (_fields, message) => {
    sentences.push(message)
    nextSentence()
  },
}
const put = (from: string, to: string): void => {
  copyFileSync(from, to)
}
const nextOf = (from: WatchedCertificates): Promise<Watched> =>
  new Promise((resolve) => {
    const end = from.follow((now) => {
      end()
      resolve(now)
    })
  })

beforeAll(() => {
  certificates = makeCertificates()
  cert = join(certificates.folder, 'used.crt')
  key = join(certificates.folder, 'used.key')
})
beforeEach(() => {
  put(certificates.server.cert, cert)
  put(certificates.server.key, key)
  sentences = []
  nextSentence = () => undefined
  const files = {
    cert: { flag: '--tls-cert', file: cert },
    key: { flag: '--tls-key', file: key },
    ca: { flag: '--tls-client-ca', file: undefined },
  }
  watched = watchCertificates(files, log)
})
afterAll(() => {
  certificates.remove()
})

test('a pair that is replaced is told to those who follow', async () => {
  const next = nextOf(watched)
  put(certificates.client.cert, cert)
  put(certificates.client.key, key)
  expect((await next).cert).toEqual(readFileSync(certificates.client.cert))
  expect(watched.current().key).toEqual(readFileSync(certificates.client.key))
})

test('half a pair changes nothing and is logged; with the other half it counts', async () => {
  const before = watched.current()
  const complained = new Promise<void>((resolve) => {
    nextSentence = resolve
  })
  const next = nextOf(watched)
  put(certificates.client.cert, cert)
  await complained
  expect(watched.current()).toBe(before)
  expect(sentences[0]).toBe('replaced certificates cannot be used; the old ones stay')
  put(certificates.client.key, key)
  expect((await next).cert).toEqual(readFileSync(certificates.client.cert))
})

test('what changed while nobody followed is seen by the next who does', () => {
  put(certificates.client.cert, cert)
  put(certificates.client.key, key)
  watched.follow(() => undefined)()
  expect(watched.current().cert).toEqual(readFileSync(certificates.client.cert))
})
