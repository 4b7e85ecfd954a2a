import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '../../../kit/log.ts'
import { isLoopback, type ListenerOptions, loadDataPathSecurity, loadSecurity } from '../../../kit/security.ts'
import { type Certificates, makeCertificates } from '../../support/certificates.ts'

let folder: string
let certificates: Certificates
const file = (name: string): string => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-security-'))
  certificates = makeCertificates()
  writeFileSync(file('token'), 's3cret\n')
  writeFileSync(file('empty'), '\n')
})
afterAll(() => {
  certificates.remove()
  rmSync(folder, { recursive: true, force: true })
})

const tls = () => ({ tlsCert: certificates.server.cert, tlsKey: certificates.server.key })
const load = (options: ListenerOptions, host: string) => loadSecurity(options, host, silentLogger)

describe('a listener beyond loopback', () => {
  it('needs TLS, and a token or an authority of clients', () => {
    expect(load({ ...tls(), tokenFile: file('token') }, '0.0.0.0').tls?.current().ca).toBeUndefined()
    expect(load({ ...tls(), tlsClientCa: certificates.ca }, '0.0.0.0').tls?.current().ca).toEqual(
      readFileSync(certificates.ca),
    )
  })

  it.each([
    ['nothing', () => ({}), /--host 0\.0\.0\.0 .*TLS .* and a token .*--insecure/],
    ['a token alone', () => ({ tokenFile: file('token') }), /lacks TLS \(--tls-cert, --tls-key\):/],
    ['TLS alone', tls, /lacks a token \(--token-file\) or --tls-client-ca:/],
  ] as const)('is refused with %s', (_, options, message) => {
    expect(() => load(options(), '0.0.0.0')).toThrow(message)
    expect(load({ ...options(), insecure: true }, '0.0.0.0').admits).toBeTypeOf('function')
    expect(load(options(), '127.0.0.1').admits).toBeTypeOf('function')
  })

  it('of the data path needs TLS and certificates of callers', () => {
    const open = (options: ListenerOptions, host = '10.0.0.1') =>
      loadDataPathSecurity(options, host, 'a model server', silentLogger)
    for (const options of [{}, tls(), { tokenFile: file('token') }])
      expect(() => open(options)).toThrow(/--host 10\.0\.0\.1 .*a model server would answer everybody.*--insecure/)
    expect(open({ ...tls(), tlsClientCa: certificates.ca }).tls?.current().ca).toBeDefined()
    expect(open({ insecure: true }).tls).toBeUndefined()
    expect(open({}, '127.0.0.1').tls).toBeUndefined()
  })

  it.each(['127.0.0.1', '127.8.9.10', '::1', 'localhost'])('is not %s', (host) => {
    expect(isLoopback(host)).toBe(true)
  })

  it.each(['0.0.0.0', '::', '10.0.0.1', '127.evil.example', 'example.com', ''])('is %j', (host) => {
    expect(isLoopback(host)).toBe(false)
  })
})

describe('options that do not fit together', () => {
  it.each([
    ['a certificate without a key', () => ({ tlsCert: certificates.server.cert }), /belong together/],
    ['a client CA without TLS', () => ({ tlsClientCa: certificates.ca }), /needs both/],
    [
      'a key of another certificate',
      () => ({ ...tls(), tlsKey: certificates.client.key }),
      /--tls-cert .*server\.crt, --tls-key .*client\.key: .*mismatch/,
    ],
    ['a file that is not there', () => ({ ...tls(), tlsKey: file('absent') }), /--tls-key .*absent: ENOENT/],
    ['a token file without a token', () => ({ tokenFile: file('empty') }), /--token-file .*must hold one token/],
  ] as const)('are refused: %s', (_, options, message) => {
    expect(() => load(options(), '127.0.0.1')).toThrow(message)
  })
})

describe('a token', () => {
  it('is the one of the file, as it is now', () => {
    writeFileSync(file('changing'), 'first')
    const { admits } = load({ tokenFile: file('changing') }, '127.0.0.1')
    expect(admits('Bearer first')).toBe(true)
    expect(admits('bearer  first ')).toBe(true)
    for (const wrong of [undefined, '', 'first', 'Bearer', 'Bearer ', 'Bearer second', 'Basic first', 'Bearer first x'])
      expect(admits(wrong)).toBe(false)
    writeFileSync(file('changing'), 'the-second')
    expect(admits('Bearer first')).toBe(false)
    expect(admits('Bearer the-second')).toBe(true)
    rmSync(file('changing'))
    expect(admits('Bearer the-second')).toBe(true) // a file that is replaced is away for a moment
  })
})
