/** What is wrong with a spec is said at once, with the field paths, by the command as users run it and over the compatible API. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { credentials, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GRPC_OPTIONS, Scheduler } from '../../api/grpc.ts'
import { packageRoot } from '../../kit/root.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

/** A manifest or field was refused; docs/cli.md. */
const EXIT_INVALID = 3
const DEADLINE_MS = 120_000
const LONGEST = 'a'.repeat(63)

let mesh: TestMesh
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({ replicas: 1, absent: ['envoy-0', 'mesh-metrics-0', 'embedded-0', 'agent-embedded-0'] })
})
afterAll(() => mesh.stop())

async function millrace(...argv: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [join(packageRoot, 'bin/millrace.mjs'), ...argv], {
    env: { ...process.env, MILLRACE_SCHEDULER: mesh.scheduler, NO_COLOR: '1' },
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  })
  const texts = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.err += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      resolve({ code, ...texts })
    })
  })
}

function manifest(text: string): string {
  const path = join(mesh.folder, 'manifest.yaml')
  writeFileSync(path, text)
  return path
}

/** A valid model but for its name. */
const named = (name: string): string => `apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata: { name: ${name} }
spec: { storageUri: /models/iris }
`

test('apply of a manifest with many errors names every one of them, by line and field path', async () => {
  const path = manifest(`apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata:
  name: iris
spec:
  storagUri: /models/iris
  memory: lots
  replicas: -1
  requirements: onnx
  logger:
    percent: 101
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Server
metadata:
  labels: { size: 3 }
spec:
  replicas: many
`)
  const { code, out, err } = await millrace('apply', '-f', path)
  expect({ code, out }).toEqual({ code: EXIT_INVALID, out: '' })
  for (const problem of [
    /:6 spec\.storagUri.*did you mean storageUri/,
    /spec\.storageUri.*required/,
    /:7 spec\.memory.*lots/,
    /:8 spec\.replicas.*at least 0.*-1/,
    /:9 spec\.requirements.*list/,
    /:11 spec\.logger\.percent.*at most 100/,
    /metadata\.name.*required/,
    /:16 metadata\.labels\.size.*text/,
    /:18 spec\.replicas.*whole number/,
  ])
    expect(err).toMatch(problem)
  expect(await mesh.admin.list('Model')).toEqual([])
})

test('what is wrong with the values together, which the scheduler sees, is listed whole as well', async () => {
  const path = manifest(`apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata: { name: Iris.v1 }
spec:
  storageUri: /models/iris
  replicas: 1
  minReplicas: 3
  maxReplicas: 2
  explainer: { type: anchor, modelRef: a, pipelineRef: b }
  llm: { modelRef: a }
`)
  const { code, err } = await millrace('apply', '-f', path)
  expect(code).toBe(EXIT_INVALID)
  for (const problem of [
    /metadata\.name: "Iris\.v1".*lower-case/,
    /spec\.minReplicas: 3 is more than maxReplicas 2/,
    /spec\.replicas: 1 is less than minReplicas 3/,
    /spec\.explainer: names a modelRef and a pipelineRef/,
    /spec\.llm: cannot stand beside spec\.explainer/,
  ])
    expect(err).toMatch(problem)
})

test.each([
  { what: 'longer than 63 characters', name: 'a'.repeat(64) },
  { what: 'with a dot', name: 'iris.v1' },
  { what: 'in upper case', name: 'Iris' },
  { what: 'with an underscore', name: 'iris_1' },
  { what: 'that ends in a dash', name: 'iris-' },
])('a name $what is refused by both APIs, which say why', async ({ name }) => {
  const { code, err } = await millrace('apply', '-f', manifest(named(name)))
  expect(code).toBe(EXIT_INVALID)
  expect(err).toContain('metadata.name')
  expect(err).toContain(name.slice(0, 20))

  const refused = loadModel(name)
  await expect(refused).rejects.toMatchObject({ code: status.FAILED_PRECONDITION })
  await expect(refused).rejects.toThrow(name)
  expect(await mesh.admin.list('Model')).toEqual([])
})

test('a name of exactly 63 characters is taken by both APIs', async () => {
  expect(await millrace('apply', '-f', manifest(named(LONGEST)))).toMatchObject({ code: 0, err: '' })
  await loadModel('b'.repeat(63))
  const names = (await mesh.admin.list('Model')).map(({ metadata }) => metadata.name)
  expect(names).toEqual([LONGEST, 'b'.repeat(63)])
})

test('the compatible API lists every problem of a model in one FAILED_PRECONDITION', async () => {
  const refused = withScheduler((api) =>
    grpcCall((callback) =>
      api.loadModel(
        {
          model: {
            meta: { name: 'Bad.Name' },
            modelSpec: { uri: '' },
            deploymentSpec: { replicas: 1, minReplicas: 3, maxReplicas: 2 },
          },
        },
        callback,
      ),
    ),
  )
  await expect(refused).rejects.toMatchObject({ code: status.FAILED_PRECONDITION })
  for (const path of ['metadata.name', 'spec.storageUri', 'spec.minReplicas', 'spec.replicas'])
    await expect(refused).rejects.toThrow(path)
})

const loadModel = (name: string): Promise<unknown> =>
  withScheduler((api) =>
    grpcCall((callback) =>
      api.loadModel(
        { model: { meta: { name }, modelSpec: { uri: '/models/iris' }, deploymentSpec: { replicas: 1 } } },
        callback,
      ),
    ),
  )

async function withScheduler<T>(use: (api: InstanceType<typeof Scheduler>) => Promise<T>): Promise<T> {
  const api = new Scheduler(mesh.scheduler, credentials.createInsecure(), GRPC_OPTIONS)
  try {
    return await use(api)
  } finally {
    api.close()
  }
}
