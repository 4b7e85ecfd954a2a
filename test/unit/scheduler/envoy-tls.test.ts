import { expect, test } from 'vitest'
import { parseConfig } from '../../../kit/config.ts'
import { schedulerProcess } from '../../../scheduler/config.ts'
import { toEnvoyTls } from '../../../scheduler/envoy-tls.ts'

const tlsOf = (...flags: readonly string[]) => {
  const parsed = parseConfig(schedulerProcess, flags, {})
  if (parsed.kind !== 'run') throw new Error(parsed.text)
  return toEnvoyTls(parsed.config)
}
const IDENTITY = ['--ingress-tls-cert', '/c.pem', '--ingress-tls-key', '/k.pem']

test('an ingress that others can reach speaks TLS, or somebody says --insecure', () => {
  expect(() => tlsOf('--ingress-host', '0.0.0.0')).toThrow(
    /--ingress-host 0\.0\.0\.0 .*--ingress-tls-cert .*--insecure/,
  )
  expect(tlsOf('--ingress-host', '0.0.0.0', '--insecure')).toEqual({})
  expect(tlsOf('--ingress-host', '0.0.0.0', ...IDENTITY)).toEqual({
    ingressTls: { certFile: '/c.pem', keyFile: '/k.pem' },
  })
  expect(tlsOf()).toEqual({})
})

test.each([
  ['half an identity', ['--ingress-tls-cert', '/c.pem'], /--ingress-tls-cert and --ingress-tls-key belong together/],
  ['an authority of clients alone', ['--ingress-tls-client-ca', '/ca.pem'], /needs --ingress-tls-cert/],
  ['a name without an authority', ['--upstream-name', 'servers'], /need --upstream-ca/],
])('%s is refused', (_, flags, message) => {
  expect(() => tlsOf(...flags)).toThrow(message)
})
