/** TLS with certificates on both sides of everything that is called, the data path included, with a token for the control plane. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Agent } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { infer, PROTOCOLS, type Protocol } from '../../cli/client/infer-client.ts'
import { waitFor } from '../../cli/wait.ts'
import { watchCertificates } from '../../kit/certificates.ts'
import { silentLogger } from '../../kit/log.ts'
import { packageRoot } from '../../kit/root.ts'
import { loadMeshSecurity } from '../../up/security.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { applyAvailable, modelResource, untilModel } from '../support/models.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'
import { createRestClient } from '../support/rest.ts'

let mesh: TestMesh
let certificates: Certificates
printLogsOfFailedTests(() => mesh)

const request = readFileSync(join(packageRoot, 'samples/requests/iris.json'), 'utf8')
const storageUri = join(packageRoot, 'samples/iris/model')

beforeAll(async () => {
  certificates = makeCertificates()
  const { server, client, ca, folder } = certificates
  const tokenFile = join(folder, 'token')
  writeFileSync(tokenFile, 's3cret')
  const tls = { tlsCert: server.cert, tlsKey: server.key, tlsClientCa: ca, ca, ...client, tokenFile }
  mesh = await startMesh({ pipelineGateways: 1, security: loadMeshSecurity({ ...tls, ingressTls: true }) })
  await applyAvailable(mesh.admin, 'iris', { storageUri, requirements: ['onnx'], replicas: 2 })
})
afterAll(async () => {
  await mesh.stop()
  certificates.remove()
})

const ask = (protocol: Protocol, model = 'iris') => {
  const trusted = { flag: '--ca', file: certificates.ca }
  const none = { flag: '', file: undefined }
  const tls = watchCertificates({ ca: trusted, cert: none, key: none }, silentLogger)
  return infer(protocol, {
    ingress: new URL(`https://${mesh.ingress}`),
    model,
    request,
    headers: {},
    timeoutMs: 15_000,
    tls,
  })
}

const expectPrediction = async (protocol: Protocol) => {
  const { response } = await ask(protocol)
  expect(JSON.parse(response)).toMatchObject({ model_name: 'iris_1', outputs: [{ name: 'predict' }, {}] })
}

describe.each(PROTOCOLS)('by %s', (protocol) => {
  it('a request passes from TLS to TLS', () => expectPrediction(protocol))
})

it("through the agents' proxies as well", async () => {
  await mesh.admin.apply(modelResource('iris', { storageUri, requirements: ['onnx'], replicas: 2, dataPath: 'agent' }))
  await untilModel(mesh.admin, 'iris', (status) => status.dataPath === 'agent' && status.state === 'ModelAvailable')
  for (const protocol of PROTOCOLS) for (let call = 0; call < 4; call++) await expectPrediction(protocol)
})

it('a pipeline is asked over TLS, and asks its models so', async () => {
  await mesh.admin.apply({
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Pipeline',
    metadata: { name: 'chain' },
    spec: { steps: [{ name: 'iris' }], output: { steps: ['iris'] } },
  })
  await waitFor(mesh.admin, { kind: 'Pipeline', name: 'chain' }, 'available', 30_000)
  for (const protocol of PROTOCOLS) {
    const { response } = await ask(protocol, 'chain.pipeline')
    expect(JSON.parse(response)).toMatchObject({ outputs: [{ name: 'predict' }, {}] })
  }
})

it('nobody else gets in: not in plain text, not without a certificate', async () => {
  const [replica] = mesh.ports.replicas
  const { rest = 0, proxyRest = 0, agentHttp = 0 } = replica ?? {}
  const anonymous = new Agent({ connect: { ca: readFileSync(certificates.ca) } })
  const [gateway] = mesh.ports.pipelineGateways
  for (const port of [rest, proxyRest, agentHttp, gateway?.rest ?? 0, mesh.ports.schedulerHttp]) {
    const path = '/v2/health/ready'
    const plain = createRestClient(`http://127.0.0.1:${String(port)}`)
    await expect(plain.call('GET', path), `plain text to ${String(port)}`).rejects.toThrow()
    const unknown = createRestClient(`https://127.0.0.1:${String(port)}`, anonymous)
    await expect(unknown.call('GET', path), `no certificate to ${String(port)}`).rejects.toThrow()
  }
  await anonymous.destroy()
})

it('an Envoy says nothing of keys or tokens', async () => {
  const dump = await (
    await fetch(`http://127.0.0.1:${String(mesh.ports.envoys[0]?.admin)}/config_dump?include_eds`)
  ).text()
  expect(dump).toContain('transport_socket_matches')
  expect(dump).not.toContain('PRIVATE KEY')
})
