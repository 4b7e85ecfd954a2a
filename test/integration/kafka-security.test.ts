/** TLS and a password, plain or as SCRAM, on a real broker that asks for both. */
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { alterUserScramCredentialsV0, Connection } from '@platformatic/kafka'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const JAAS =
  'org.apache.kafka.common.security.plain.PlainLoginModule required ' +
  'username="admin" password="admin" user_admin="admin" user_millrace="secret";'
const SCRAM_JAAS = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
/** As Kafka's protocol names them. */
const SCRAM = [
  { mechanism: 'SCRAM-SHA-256', id: 1, hash: 'sha256', bytes: 32 },
  { mechanism: 'SCRAM-SHA-512', id: 2, hash: 'sha512', bytes: 64 },
] as const
const ITERATIONS = 4_096

let certificates: Certificates
let broker: TestKafka
let passwordFile: string
beforeAll(async () => {
  certificates = makeCertificates()
  passwordFile = join(certificates.folder, 'password')
  writeFileSync(passwordFile, 'secret\n')
  const keystore = join(certificates.folder, 'keystore.pem')
  const { key, cert } = certificates.server
  writeFileSync(keystore, `${readFileSync(key, 'utf8')}${readFileSync(cert, 'utf8')}`)
  broker = await startKafka({
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_SSL',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'listener.name.plaintext.plain.sasl.jaas.config': JAAS,
    'listener.name.plaintext.scram-sha-256.sasl.jaas.config': SCRAM_JAAS,
    'listener.name.plaintext.scram-sha-512.sasl.jaas.config': SCRAM_JAAS,
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keystore,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': certificates.ca,
  })
  await addScramUser('hopper', 'compiler')
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await broker.stop()
  certificates.remove()
})

const settings = (): Record<string, string> => ({
  'bootstrap.servers': broker.bootstrapServers,
  'security.protocol': 'SASL_SSL',
  'sasl.mechanism': 'PLAIN',
  'sasl.username': 'millrace',
  'sasl.password.file': passwordFile,
  'ssl.ca.location': certificates.ca,
})

/** The broker has it from here on; its passwords are never written anywhere. */
async function addScramUser(name: string, password: string): Promise<void> {
  const connection = new Connection('test', {
    tls: { ca: readFileSync(certificates.ca) },
    sasl: { mechanism: 'PLAIN', username: 'millrace', password: 'secret' },
  })
  const [host = '', port] = broker.bootstrapServers.split(':')
  await connection.connect(host, Number(port))
  const salt = randomBytes(16)
  for (const { id: mechanism, hash, bytes } of SCRAM) {
    const saltedPassword = pbkdf2Sync(password, salt, ITERATIONS, bytes, hash)
    const user = { name, mechanism, iterations: ITERATIONS, salt, saltedPassword }
    await alterUserScramCredentialsV0.api.async(connection, [], [user])
  }
  await connection.close()
}

/** Makes a topic and sends a record to it. */
async function use(given: Readonly<Record<string, string>>, topic: string): Promise<void> {
  const kafka = connectKafka(parseConnection('test', given), 'test')
  const [admin, producer] = [kafka.admin(), kafka.producer()]
  try {
    await admin.createTopics([topic], { partitions: 1, replicationFactor: 1, maxMessageBytes: 100_000 })
    const record = { topic, partition: 0, key: 'k', value: Buffer.from('v'), headers: [] }
    expect(await producer.send([record], { compression: 'none', timeoutMs: 20_000 })).toEqual([
      { kind: 'acknowledged' },
    ])
  } finally {
    await Promise.all([admin.close(), producer.close()])
  }
}

it('with both, records are taken', () => use(settings(), 't'))

it.each(SCRAM)('$mechanism over TLS: records are taken, and a wrong password is told', async ({ mechanism }) => {
  const file = join(certificates.folder, mechanism)
  writeFileSync(file, 'compiler\n')
  const given = {
    ...settings(),
    'sasl.mechanism': mechanism,
    'sasl.username': 'hopper',
    'sasl.password.file': file,
  }
  await use(given, mechanism)
  writeFileSync(file, 'cobol\n')
  await expect(use(given, mechanism)).rejects.toMatchObject({
    code: 'KAFKA_UNAVAILABLE',
    message: expect.stringMatching(/[Aa]uthentication failed/) as string,
  })
})

it('a wrong password and an unknown authority are told, and the password is not', async () => {
  const wrong = join(certificates.folder, 'wrong')
  writeFileSync(wrong, 'hunter2\n')
  const { 'ssl.ca.location': _, ...withoutCa } = settings()
  const messages: string[] = []
  for (const given of [{ ...settings(), 'sasl.password.file': wrong }, withoutCa]) {
    const admin = connectKafka(parseConnection('test', given), 'test').admin()
    messages.push(await admin.brokers().then(String, (error: Error) => error.message))
    await admin.close()
  }
  expect(messages[0]).toMatch(/Authentication failed/)
  expect(messages[1]).toMatch(/certificate|issuer/)
  expect(messages.join()).not.toContain('hunter2')
})
