import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  isKafkaGiven,
  loadKafkaConnection,
  parseConnection,
  parseSettings,
} from '../../../dataflow/kafka/connection.ts'
import { libraryOptions } from '../../../dataflow/kafka/library-options.ts'

let folder: string
let password: string
let pem: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-config-'))
  password = join(folder, 'password')
  pem = join(folder, 'ca.pem')
  writeFileSync(password, 'first-secret\n')
  writeFileSync(pem, 'a certificate')
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const secured = () => ({
  'bootstrap.servers': 'a:9092, b:9093',
  'security.protocol': 'SASL_SSL',
  'sasl.mechanism': 'SCRAM-SHA-512',
  'sasl.username': 'millrace',
  'sasl.password.file': password,
  'ssl.ca.location': pem,
})

describe('the configuration of Kafka', () => {
  it('is nothing when nothing is said', () => {
    expect(isKafkaGiven({ bootstrapServers: '', configFile: '' })).toBe(false)
  })

  it('is the same in JSON and in properties', () => {
    const json = parseSettings('x', JSON.stringify(secured()))
    const lines = Object.entries(secured()).map(([name, value]) => `${name} = ${value}`)
    const properties = parseSettings('x', `# brokers\n\n${lines.join('\n')}\n`)
    expect(parseConnection('x', json)).toEqual(parseConnection('x', properties))
    expect(parseConnection('x', json)).toMatchObject({
      bootstrapServers: ['a:9092', 'b:9093'],
      tls: { caFile: pem, checkHostName: true },
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'millrace', passwordFile: password },
    })
  })

  it('takes the addresses of the variable before those of the file', () => {
    const configFile = join(folder, 'kafka.properties')
    writeFileSync(configFile, 'bootstrap.servers=a:1\n')
    expect(loadKafkaConnection({ bootstrapServers: 'b:2', configFile }).bootstrapServers).toEqual(['b:2'])
    expect(loadKafkaConnection({ bootstrapServers: '', configFile }).bootstrapServers).toEqual(['a:1'])
  })

  it.each(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'])('knows %s', (mechanism) => {
    expect(parseConnection('x', { ...secured(), 'sasl.mechanism': mechanism }).sasl?.mechanism).toBe(mechanism)
  })

  it('lists everything that is wrong', () => {
    const settings = {
      'bootstrap.servers': 'a',
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'GSSAPI',
      'ssl.ca.location': join(folder, 'absent.pem'),
      'group.id': 'g',
    }
    expect(() => parseConnection('kafka.json', settings)).toThrow(
      /kafka\.json has 6 problem\(s\).*group\.id: is not known.*"a" is not host:port.*GSSAPI.*sasl\.username: is missing.*sasl\.password\.file: is missing.*ssl\.ca\.location: needs security\.protocol SSL/s,
    )
  })

  it('refuses secrets in itself, and repeats none', () => {
    const settings = { 'bootstrap.servers': 'a:1', 'sasl.password': 'hunter2' }
    expect(() => parseConnection('x', settings)).toThrow(/sasl\.password: secrets stand in files/)
    expect(() => parseConnection('x', settings)).not.toThrow(/hunter2/)
    expect(() => parseSettings('x', '{"sasl.password": "hunter2",,}')).not.toThrow(/hunter2/)
    expect(() => parseSettings('x', 'hunter2')).toThrow(/line 1 is not name=value/)
  })

  it('names a file that cannot be read', () => {
    const settings = { ...secured(), 'sasl.password.file': join(folder, 'absent') }
    expect(() => parseConnection('x', settings)).toThrow(/sasl\.password\.file: .*absent cannot be read/)
    expect(() => loadKafkaConnection({ bootstrapServers: '', configFile: join(folder, 'no') })).toThrow(
      /cannot be read/,
    )
  })

  it('needs both or none of a certificate and its key', () => {
    const settings = { 'bootstrap.servers': 'a:1', 'security.protocol': 'SSL', 'ssl.certificate.location': pem }
    expect(() => parseConnection('x', settings)).toThrow(/goes with ssl\.key\.location/)
  })
})

describe('what the library is told', () => {
  it('is the certificate’s content, the host name, and the password as it is now', () => {
    const options = libraryOptions(parseConnection('x', secured()), 'me')
    expect(options).toMatchObject({ clientId: 'me', tlsServerName: true, tls: { ca: Buffer.from('a certificate') } })
    const read = options.sasl?.password as () => string
    expect(read()).toBe('first-secret')
    writeFileSync(password, 'second-secret\n')
    expect(read()).toBe('second-secret')
  })

  it('is nothing of TLS and SASL in plain text', () => {
    const options = libraryOptions(parseConnection('x', { 'bootstrap.servers': 'a:1' }), 'me')
    expect(options.tls).toBeUndefined()
    expect(options.sasl).toBeUndefined()
  })

  it('checks the broker’s name unless it was told not to', () => {
    const none = { ...secured(), 'ssl.endpoint.identification.algorithm': 'none' }
    expect(libraryOptions(parseConnection('x', secured()), 'me').tls?.checkServerIdentity).toBeUndefined()
    expect(libraryOptions(parseConnection('x', none), 'me').tls?.checkServerIdentity).toBeDefined()
  })
})
