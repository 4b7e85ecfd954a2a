import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isLoopback, loadSecurity, refusePlainText } from '../../../kit/security.ts'

let folder: string
const file = (name: string): string => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-security-'))
  for (const name of ['cert', 'key', 'ca']) writeFileSync(file(name), name)
  writeFileSync(file('token'), 's3cret\n')
  writeFileSync(file('empty'), '\n')
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

const tls = () => ({ tlsCert: file('cert'), tlsKey: file('key') })

describe('a listener beyond loopback', () => {
  it('needs TLS, and a token or an authority of clients', () => {
    expect(loadSecurity({ ...tls(), tokenFile: file('token') }, '0.0.0.0').tls?.clientCa).toBeUndefined()
    expect(loadSecurity({ ...tls(), tlsClientCa: file('ca') }, '0.0.0.0').tls?.clientCa?.toString()).toBe('ca')
  })

  it.each([
    ['nothing', () => ({}), /--host 0\.0\.0\.0 .*TLS .* and a token .*--insecure/],
    ['a token alone', () => ({ tokenFile: file('token') }), /lacks TLS \(--tls-cert, --tls-key\):/],
    ['TLS alone', tls, /lacks a token \(--token-file\) or --tls-client-ca:/],
  ] as const)('is refused with %s', (_, options, message) => {
    expect(() => loadSecurity(options(), '0.0.0.0')).toThrow(message)
    expect(loadSecurity({ ...options(), insecure: true }, '0.0.0.0').admits).toBeTypeOf('function')
    expect(loadSecurity(options(), '127.0.0.1').admits).toBeTypeOf('function')
  })

  it('of the data path is refused unless that is meant', () => {
    expect(() => {
      refusePlainText('10.0.0.1', undefined, 'a model server')
    }).toThrow(/--host 10\.0\.0\.1 .*a model server speaks plain text.*--insecure/)
    refusePlainText('10.0.0.1', true, 'a model server')
    refusePlainText('127.0.0.1', undefined, 'a model server')
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
    ['a certificate without a key', () => ({ tlsCert: file('cert') }), /belong together/],
    ['a client CA without TLS', () => ({ tlsClientCa: file('ca') }), /needs both/],
    ['a file that is not there', () => ({ ...tls(), tlsKey: file('absent') }), /--tls-key .*absent: ENOENT/],
    ['a token file without a token', () => ({ tokenFile: file('empty') }), /--token-file .*must hold one token/],
  ] as const)('are refused: %s', (_, options, message) => {
    expect(() => loadSecurity(options(), '127.0.0.1')).toThrow(message)
  })
})

describe('a token', () => {
  it('is the one of the file, as it is now', () => {
    writeFileSync(file('changing'), 'first')
    const { admits } = loadSecurity({ tokenFile: file('changing') }, '127.0.0.1')
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
