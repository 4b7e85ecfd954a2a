/** The sample model: applied, waited for and asked, through the same clients as everybody uses. */
import { readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { parseManifests } from '../api/resources/manifest.ts'
import type { ModelResource, ServerResource } from '../api/resources/resource.ts'
import type { StoredResource } from '../api/resources/status.ts'
import type { AdminClient } from '../cli/client/admin-client.ts'
import { infer, PROTOCOLS, type Protocol } from '../cli/client/infer-client.ts'
import { waitFor } from '../cli/wait.ts'
import { ServingError, toServingError } from '../kit/errors.ts'
import { packageRoot } from '../kit/root.ts'

const MODEL_MANIFEST = join(packageRoot, 'samples/models/iris.yaml')
const SERVER_MANIFEST = join(packageRoot, 'samples/servers/embedded.yaml')
export const SAMPLE_REQUEST = 'samples/requests/iris.json'
const INFER_TIMEOUT_MS = 10_000
const AVAILABLE_DEADLINE_MS = 60_000

export interface SampleAnswer {
  readonly protocol: Protocol
  /** JSON of an OIP answer. */
  readonly response: string
}

/** Says how many replicas of the embedded server to expect; what else a user set on it stays. */
export async function applyServer(admin: AdminClient, replicas: number): Promise<void> {
  const sample = readManifest(SERVER_MANIFEST, 'Server')
  const stored = await findStored(() => admin.get('Server', sample.metadata.name))
  const base = stored?.resource.kind === 'Server' ? stored.resource : sample
  const resource: ServerResource = {
    apiVersion: base.apiVersion,
    kind: 'Server',
    metadata: { name: base.metadata.name },
    spec: { ...base.spec, replicas },
  }
  await admin.apply(resource)
}

export type AppliedSample =
  | { readonly kind: 'available'; readonly model: string }
  /** The user has put a model of their own under this name: it is not ours to change or to ask. */
  | { readonly kind: 'replaced'; readonly model: string }

/** Applies the sample model and waits until it is available. @throws ServingError LOAD_FAILED, DEADLINE_EXCEEDED */
export async function applySample(admin: AdminClient): Promise<AppliedSample> {
  const sample = readManifest(MODEL_MANIFEST, 'Model')
  const { name } = sample.metadata
  const stored = await findStored(() => admin.get('Model', name))
  if (stored === undefined) await admin.apply(sample)
  else if (!isSample(stored.resource)) return { kind: 'replaced', model: name }
  await waitFor(admin, { kind: 'Model', name }, 'available', AVAILABLE_DEADLINE_MS)
  return { kind: 'available', model: name }
}

/** Any version of it, at any number of replicas. */
const isSample = (resource: StoredResource): boolean =>
  resource.kind === 'Model' && resource.spec.storageUri.startsWith(join(packageRoot, 'samples', sep))

/** Asks once by REST and once by gRPC. @throws ServingError saying which of them failed, and why */
export async function inferSample(model: string, ingress: URL): Promise<SampleAnswer[]> {
  const request = readFileSync(join(packageRoot, SAMPLE_REQUEST), 'utf8')
  const answers: SampleAnswer[] = []
  for (const protocol of PROTOCOLS) {
    try {
      const answer = await infer(protocol, { ingress, model, request, headers: {}, timeoutMs: INFER_TIMEOUT_MS })
      answers.push({ protocol, response: answer.response })
    } catch (error) {
      const failure = toServingError(error)
      throw new ServingError(failure.code, `the sample inference by ${protocol} failed: ${failure.message}`, {
        cause: error,
      })
    }
  }
  return answers
}

type ResourceOfKind = { readonly Model: ModelResource; readonly Server: ServerResource }

function readManifest<K extends keyof ResourceOfKind>(path: string, kind: K): ResourceOfKind[K] {
  const manifests = parseManifests(readFileSync(path, 'utf8'), { name: path, folder: join(path, '..') })
  const found = manifests.map((manifest) => manifest.resource).find((resource) => resource.kind === kind)
  if (found === undefined) throw new ServingError('MANIFEST_INVALID', `${path} holds no ${kind}`)
  return found as ResourceOfKind[K]
}

async function findStored<T>(get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get()
  } catch (error) {
    if (toServingError(error).httpStatus === 404) return undefined
    throw error
  }
}
