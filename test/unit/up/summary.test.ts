import { expect, test } from 'vitest'
import { standardPorts } from '../../../up/ports.ts'
import { summaryText } from '../../../up/summary.ts'

const options = { host: '127.0.0.1', ports: standardPorts(0, 2), logsDir: '/logs', security: {}, sample: undefined }
const sample = {
  model: 'iris',
  answers: [{ of: 'iris', protocol: 'grpc', response: '{"model_name":"iris_1"}' }],
} as const

test('the answers are printed, and a curl line that asks the same', () => {
  const text = summaryText({ ...options, sample })
  expect(text).toContain('iris by gRPC: {"model_name":"iris_1"}')
  expect(text).toContain('curl -s http://127.0.0.1:9000/v2/models/iris/infer')
})

test('without the sample nothing is said of it', () => {
  expect(summaryText(options)).not.toContain('iris')
})

test('with TLS and a token the commands say so', () => {
  const tls = { cert: '/c', key: '/k', ca: '/ca', identity: { cert: '/own', key: '/own-key' }, ingress: true }
  const text = summaryText({ ...options, security: { tokenFile: '/token', tls }, sample })
  expect(text).toContain('curl -s --cacert /ca https://127.0.0.1:9000/v2/models/iris/infer')
  expect(text).toContain('npx millrace --ca /ca --cert /own --key /own-key --token-file /token get models')
  expect(text).toContain('https://127.0.0.1:9003/metrics')
})

test('with moved ports the addresses move and the commands say by how much', () => {
  const text = summaryText({ ...options, ports: standardPorts(500, 2) })
  expect(text).toContain('http://127.0.0.1:9500')
  expect(text).toContain('npx millrace --port-offset 500 get models')
  expect(summaryText(options)).toContain('npx millrace get models')
})
