/** `explain` and `top` against what really happens: what they say is compared with the answers of the same mesh. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEnvoyAdminClient } from '../../cli/client/envoy-admin-client.ts'
import { explainRequest, type Explanation } from '../../cli/explain/explanation.ts'
import { type RequestOptions, toAskedRequest } from '../../cli/explain/request.ts'
import { createEnvoySource } from '../../cli/explain/route-source.ts'
import type { ModelRate } from '../../cli/top/rates.ts'
import { packageRoot } from '../../kit/root.ts'
import { modelResource, untilAvailable } from '../support/models.ts'
import { type TestMesh, startMesh } from '../support/processes.ts'
import { type CliResult, runCli } from '../support/run-cli.ts'

let mesh: TestMesh
beforeAll(async () => {
  mesh = await startMesh({ replicas: 2 })
  await mesh.admin.apply({ ...modelResource('iris'), spec: { ...modelResource('iris').spec, replicas: 2 } })
  await untilAvailable(mesh.admin, 'iris')
})
afterAll(() => mesh.stop())

const envoyAdmin = (): string => `http://127.0.0.1:${String(mesh.ports.envoys[0]?.admin)}`
const explain = (...argv: string[]): Promise<CliResult> =>
  runCli(['explain', 'request', '--scheduler', mesh.scheduler, ...argv])
const explained = (options: Partial<RequestOptions>): Promise<Explanation> =>
  explainRequest(toAskedRequest({ headers: {}, ...options }), {
    source: createEnvoySource(createEnvoyAdminClient(new URL(envoyAdmin()), { tls: undefined })),
    wasmFolder: join(packageRoot, 'wasm-filter/build'),
    modelState: () => Promise.resolve(undefined),
  })

const REQUEST = readFileSync(join(packageRoot, 'samples/requests/iris.json'), 'utf8')
const ask = (path: string, init: RequestInit): Promise<Response> => fetch(`http://${mesh.ingress}${path}`, init)
const askIris = (): Promise<Response> =>
  ask('/v2/models/iris/infer', { method: 'POST', body: REQUEST, headers: { 'content-type': 'application/json' } })

test('a routed request: the model that answers, and the hosts that may', async () => {
  const result = await explain('--model-name', 'iris', '--envoy-admin', envoyAdmin(), '-o', 'json')
  expect([result.code, result.err]).toEqual([0, ''])
  const explanation = JSON.parse(result.out) as Explanation
  expect(explanation).toMatchObject({ verdict: 'routed', target: 'iris' })
  const [candidate] = explanation.candidates
  expect(candidate?.model).toContain('ModelAvailable')
  const destination = candidate?.route.kind === 'destinations' ? candidate.route.destinations[0] : undefined
  expect(destination).toMatchObject({ internalName: 'iris_1', cluster: 'embedded/0+embedded/1/rest' })
  expect(new Map(destination?.hosts?.map(({ address, health }) => [address, health]))).toEqual(
    new Map(mesh.ports.replicas.map(({ rest }) => [`127.0.0.1:${String(rest)}`, 'HEALTHY'])),
  )
  const answer = await askIris()
  expect([answer.status, answer.headers.get('x-seldon-route')]).toEqual([200, ':iris_1:'])
})

test('a gRPC call goes to the other port', async () => {
  const { candidates } = await explained({ grpcMethod: 'ModelInfer', modelName: 'iris' })
  const route = candidates[0]?.route
  expect(route?.kind === 'destinations' && route.destinations[0]?.cluster).toBe('embedded/0+embedded/1/grpc')
})

test.each([
  ['nobody knows the model', '/v2/models/rose/infer', 'POST'],
  ['the path is not served', '/v2/repository/models/iris/load', 'POST'],
  ['the name cannot be one', '/v2/models/_x/infer', 'POST'],
  ['Envoy answers itself', '/v2/health/live', 'GET'],
  ['Envoy says that routes are there', '/ready', 'GET'],
  ['any server may answer', '/v2/health/ready', 'GET'],
])('when %s, the status is the one that is answered', async (_name, path, method) => {
  const { reply, verdict } = await explained({ path, method })
  const answer = await ask(path, { method })
  const body = await answer.text()
  expect(reply?.httpStatus ?? (verdict === 'routed' ? 200 : 0)).toBe(answer.status)
  if (answer.status >= 400) expect((JSON.parse(body) as { error: string }).error).toBe(reply?.message)
})

test('without an Envoy the scheduler says the same model and hosts', async () => {
  const result = await explain('--model-name', 'iris', '-o', 'json', '--port-offset', '40000')
  expect(result.err).toContain('the scheduler is asked instead')
  const { candidates } = JSON.parse(result.out) as Explanation
  const route = candidates[0]?.route
  const destination = route?.kind === 'destinations' ? route.destinations[0] : undefined
  expect(destination?.internalName).toBe('iris_1')
  expect(destination?.hosts?.length).toBe(2)
})

test('an Envoy that was named and does not answer is an error', async () => {
  const result = await explain('--model-name', 'iris', '--envoy-admin', 'http://127.0.0.1:1')
  expect([result.code, result.out]).toEqual([6, ''])
  expect(result.err).toContain('ENVOY_UNAVAILABLE')
})

test('top counts what is asked while it looks', async () => {
  const metrics = `http://127.0.0.1:${String(mesh.ports.envoys[0]?.metrics)}/metrics`
  const watching = runCli([
    'top',
    '--metrics',
    metrics,
    '--scheduler',
    mesh.scheduler,
    '--interval',
    '1s',
    '-o',
    'json',
  ])
  const asking = new AbortController()
  const asked = (async () => {
    while (!asking.signal.aborted) expect((await askIris()).status).toBe(200)
  })()
  const { out, err } = await watching
  asking.abort()
  await asked
  expect(err).toBe('')
  const [iris] = JSON.parse(out) as readonly ModelRate[]
  expect(iris).toMatchObject({ model: 'iris', failedPercent: 0 })
  expect(iris?.requestsPerSecond).toBeGreaterThan(0)
  expect(iris?.meanMs).toBeGreaterThan(0)
})
