/** TLS and a password, on a real broker that asks for both. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const JAAS =
  'org.apache.kafka.common.security.plain.PlainLoginModule required ' +
  'username="admin" password="admin" user_admin="admin" user_millrace="secret";'

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
    'sasl.enabled.mechanisms': 'PLAIN',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'listener.name.plaintext.plain.sasl.jaas.config': JAAS,
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keystore,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': certificates.ca,
  })
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

it('with both, records are taken', async () => {
  const kafka = connectKafka(parseConnection('test', settings()), 'test')
  const [admin, producer] = [kafka.admin(), kafka.producer()]
  await admin.createTopics(['t'], { partitions: 1, replicationFactor: 1, maxMessageBytes: 100_000 })
  const record = { topic: 't', partition: 0, key: 'k', value: Buffer.from('v'), headers: [] }
  expect(await producer.send([record], { compression: 'none', timeoutMs: 5_000 })).toEqual([{ kind: 'acknowledged' }])
  await Promise.all([admin.close(), producer.close()])
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
