/** Applying models to a mesh under test and waiting for what becomes of them, by watching, never by sleeping. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ModelResource } from '../../api/resources/resource.ts'
import type { ModelStatus, StoredModel } from '../../api/resources/status.ts'
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { pause } from '../../kit/backoff.ts'
import { packageRoot } from '../../kit/root.ts'

export const IRIS_V1 = join(packageRoot, 'samples/iris/model')
export const IRIS_V2 = join(packageRoot, 'samples/iris-v2/model')

/** No figure: much longer than it takes on a machine that has much else to do. */
const DEADLINE_MS = 60_000

export const modelResource = (name: string, spec: Partial<ModelResource['spec']> = {}): ModelResource =>
  ({
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Model',
    metadata: { name },
    spec: { storageUri: IRIS_V1, memory: '100Ki', replicas: 2, ...spec },
  }) as ModelResource

/** Resolves with the first status that satisfies `wanted`; a broken watch is taken up again. */
export async function untilModel(
  admin: AdminClient,
  name: string,
  wanted: (status: ModelStatus) => boolean,
  deadlineMs: number = DEADLINE_MS,
): Promise<ModelStatus> {
  const deadline = AbortSignal.timeout(deadlineMs)
  let last: ModelStatus | undefined
  while (!deadline.aborted) {
    try {
      for await (const event of admin.watch('Model', name, deadline)) {
        if (event.kind !== 'state') continue
        last = (event.resource as StoredModel).status
        if (last !== undefined && wanted(last)) return last
      }
    } catch {
      await pause(50, deadline) // the scheduler may be down on purpose
    }
  }
  throw new Error(`model ${name} not as wanted within ${String(deadlineMs)} ms; last status: ${JSON.stringify(last)}`)
}

export const untilAvailable = (admin: AdminClient, name: string, deadlineMs?: number): Promise<ModelStatus> =>
  untilModel(admin, name, (status) => status.state === 'ModelAvailable', deadlineMs)

/** Resolves when the model's record is gone. */
export async function untilDeleted(admin: AdminClient, name: string, deadlineMs: number = DEADLINE_MS): Promise<void> {
  const deadline = AbortSignal.timeout(deadlineMs)
  while (!deadline.aborted) {
    const models = await admin.list('Model')
    if (!models.some((model) => model.metadata.name === name)) return
    await pause(50, deadline)
  }
  throw new Error(`model ${name} still exists after ${String(deadlineMs)} ms`)
}

export async function applyAvailable(
  admin: AdminClient,
  name: string,
  spec: Partial<ModelResource['spec']> = {},
): Promise<void> {
  await admin.apply(modelResource(name, spec))
  await untilAvailable(admin, name)
}

/** Polls until `check` holds; for what cannot be watched (Envoy, a process). */
export async function until(
  what: string,
  check: () => Promise<boolean> | boolean,
  deadlineMs: number = DEADLINE_MS,
): Promise<void> {
  const deadline = AbortSignal.timeout(deadlineMs)
  while (!deadline.aborted) {
    if (await check()) return
    await pause(25, deadline)
  }
  throw new Error(`${what}: not within ${String(deadlineMs)} ms`)
}

/** An artefact for test/support/test-model-server.ts; answers its path. */
export function writeTestArtifact(folder: string, name: string, behaviour: Readonly<Record<string, unknown>>): string {
  const path = join(folder, 'artifacts', name)
  mkdirSync(path, { recursive: true })
  const tensor = { name: 'predict', datatype: 'FP32', shape: [-1, 4] }
  writeFileSync(
    join(path, 'model.json'),
    JSON.stringify({ platform: 'test', inputs: [tensor], outputs: [tensor], behaviour }),
  )
  return path
}
