/** Applying experiments to a mesh under test, and waiting for what becomes of them by watching. */
import type { ExperimentSpec } from '../../api/resources/experiment.ts'
import type { ExperimentResource } from '../../api/resources/resource.ts'
import type { ExperimentStatus, StoredExperiment } from '../../api/resources/status.ts'
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { waitFor } from '../../cli/wait.ts'
import { pause } from '../../kit/backoff.ts'
import type { TestMesh } from './mesh.ts'
import { applyAvailable, until, writeTestArtifact } from './models.ts'
import type { Load } from './open-loop.ts'

const DEADLINE_MS = 60_000

export const experimentResource = (name: string, spec: ExperimentSpec): ExperimentResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Experiment',
  metadata: { name },
  spec,
})

/** Resolves with the first status that satisfies `wanted`; a broken watch is taken up again. */
export async function untilExperiment(
  admin: AdminClient,
  name: string,
  wanted: (status: ExperimentStatus) => boolean,
  deadlineMs: number = DEADLINE_MS,
): Promise<ExperimentStatus> {
  const deadline = AbortSignal.timeout(deadlineMs)
  let last: ExperimentStatus | undefined
  let cause: unknown
  while (!deadline.aborted) {
    try {
      for await (const event of admin.watch('Experiment', name, deadline)) {
        if (event.kind !== 'state') continue
        last = (event.resource as StoredExperiment).status
        if (last !== undefined && wanted(last)) return last
      }
    } catch (error) {
      cause = error
      await pause(50, deadline) // the scheduler may be down on purpose
    }
  }
  throw new Error(
    `experiment ${name} not as wanted within ${String(deadlineMs)} ms; last status: ${JSON.stringify(last)}`,
    { cause },
  )
}

export async function applyActive(admin: AdminClient, name: string, spec: ExperimentSpec): Promise<void> {
  await admin.apply(experimentResource(name, spec))
  await untilExperiment(admin, name, ({ active }) => active === true)
}

/** Envoy ACKs on its main thread; its workers follow within this (docs/architecture.md, section 2). */
const WORKERS_FOLLOW_MS = 100

/** Who answers what is sent from now on, but for the moment that workers may take. */
export async function answersFromNow(load: Load): Promise<ReadonlySet<string>> {
  const sinceMs = Date.now() + WORKERS_FOLLOW_MS
  const fresh = () => load.outcomes.filter(({ sentAtMs }) => sentAtMs > sinceMs)
  await until('100 more answers', () => fresh().length >= 100)
  return new Set(fresh().map(({ servedBy }) => servedBy))
}

type Behaviour = Readonly<Record<string, unknown>>

/** One copy of a model of test/support/test-model-server.ts. */
export const testModelSpec = (mesh: TestMesh, name: string, behaviour: Behaviour) => ({
  storageUri: writeTestArtifact(mesh.folder, name, behaviour),
  requirements: [],
  replicas: 1,
})

export const applyTestModel = (mesh: TestMesh, name: string, behaviour: Behaviour): Promise<void> =>
  applyAvailable(mesh.admin, name, testModelSpec(mesh, name, behaviour))

/** A pipeline of one step. */
export async function applyPipelineAround(mesh: TestMesh, name: string, model: string): Promise<void> {
  const spec = { steps: [{ name: model }], output: { steps: [model] } }
  await mesh.admin.apply({ apiVersion: 'mlops.seldon.io/v1alpha1', kind: 'Pipeline', metadata: { name }, spec })
  await waitFor(mesh.admin, { kind: 'Pipeline', name }, 'available', DEADLINE_MS)
}

/** The model that answered in it, which a test model gives as its output, and the token of who was chosen. */
export async function askPipeline(
  mesh: TestMesh,
  name: string,
  token?: string,
): Promise<{ readonly answer: string; readonly token: string }> {
  const inputs = [{ name: 'predict', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }]
  const response = await fetch(`http://${mesh.ingress}/v2/pipelines/${name}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { 'x-seldon-route': token }) },
    body: JSON.stringify({ inputs }),
    signal: AbortSignal.timeout(10_000),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${String(response.status)} ${text}`)
  const { outputs } = JSON.parse(text) as { outputs: readonly { data: readonly string[] }[] }
  return { answer: outputs[0]?.data[0] ?? '', token: response.headers.get('x-seldon-route') ?? '' }
}
