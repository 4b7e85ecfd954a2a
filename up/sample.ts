/** The sample model and pipeline: applied, waited for and asked, through the same clients as everybody uses. */
import { readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { parseManifests } from '../api/resources/manifest.ts'
import type { Resource } from '../api/resources/resource.ts'
import type { StoredResource } from '../api/resources/status.ts'
import type { AdminClient } from '../cli/client/admin-client.ts'
import { infer, PROTOCOLS, type Protocol } from '../cli/client/infer-client.ts'
import { waitFor } from '../cli/wait.ts'
import type { WatchedCertificates } from '../kit/certificates.ts'
import { ServingError, toServingError } from '../kit/errors.ts'
import { packageRoot } from '../kit/root.ts'

const MODEL_MANIFEST = join(packageRoot, 'samples/models/iris.yaml')
const PIPELINE_MANIFEST = join(packageRoot, 'samples/pipelines/iris.yaml')
export const SAMPLE_REQUEST = 'samples/requests/iris.json'
const INFER_TIMEOUT_MS = 10_000
const AVAILABLE_DEADLINE_MS = 60_000

export interface SampleAnswer {
  /** The model or pipeline that was asked. */
  readonly of: string
  readonly protocol: Protocol
  /** JSON of an OIP answer. */
  readonly response: string
}

export type AppliedSample =
  | { readonly kind: 'available'; readonly model: string }
  /** The user has put a model of their own under this name: it is not ours to change or to ask. */
  | { readonly kind: 'replaced'; readonly model: string }

export interface Ingress {
  readonly url: URL
  /** For one that speaks TLS. */
  readonly tls: WatchedCertificates | undefined
}

/** Applies the sample model and waits until it is available. @throws ServingError LOAD_FAILED, DEADLINE_EXCEEDED */
export async function applySample(admin: AdminClient): Promise<AppliedSample> {
  const sample = readResource(MODEL_MANIFEST, 'Model')
  const { name } = sample.metadata
  const stored = await findStored(() => admin.get('Model', name))
  if (stored === undefined) await admin.apply(sample)
  else if (!isSample(stored.resource)) return { kind: 'replaced', model: name }
  await waitFor(admin, { kind: 'Model', name }, 'available', AVAILABLE_DEADLINE_MS)
  return { kind: 'available', model: name }
}

/** One step, the sample model. One that the user has put under its name stays. Answers its name. @throws ServingError */
export async function applySamplePipeline(admin: AdminClient): Promise<string> {
  const sample = readResource(PIPELINE_MANIFEST, 'Pipeline')
  const { name } = sample.metadata
  if ((await findStored(() => admin.get('Pipeline', name))) === undefined) await admin.apply(sample)
  await waitFor(admin, { kind: 'Pipeline', name }, 'available', AVAILABLE_DEADLINE_MS)
  return name
}

/** Any version of it, at any number of replicas. */
const isSample = (resource: StoredResource): boolean =>
  resource.kind === 'Model' && resource.spec.storageUri.startsWith(join(packageRoot, 'samples', sep))

/** Asks once by each protocol. @throws ServingError saying which of them failed, and why */
export async function inferSample(
  target: string,
  { url, tls }: Ingress,
  protocols: readonly Protocol[] = PROTOCOLS,
): Promise<SampleAnswer[]> {
  const request = readFileSync(join(packageRoot, SAMPLE_REQUEST), 'utf8')
  const answers: SampleAnswer[] = []
  for (const protocol of protocols) {
    try {
      const answer = await infer(protocol, {
        ingress: url,
        tls,
        model: target,
        request,
        headers: {},
        timeoutMs: INFER_TIMEOUT_MS,
      })
      answers.push({ of: target, protocol, response: answer.response })
    } catch (error) {
      const failure = toServingError(error)
      throw new ServingError(
        failure.code,
        `the sample inference of ${target} by ${protocol} failed: ${failure.message}`,
        {
          cause: error,
        },
      )
    }
  }
  return answers
}

function readResource<K extends Resource['kind']>(path: string, kind: K): Extract<Resource, { kind: K }> {
  for (const { resource } of parseManifests(readFileSync(path, 'utf8'), { name: path, folder: join(path, '..') }))
    if (isOfKind(resource, kind)) return resource
  throw new ServingError('MANIFEST_INVALID', `${path} holds no ${kind}`)
}

const isOfKind = <K extends Resource['kind']>(
  resource: Resource,
  kind: K,
): resource is Extract<Resource, { kind: K }> => resource.kind === kind

async function findStored<T>(get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get()
  } catch (error) {
    if (toServingError(error).httpStatus === 404) return undefined
    throw error
  }
}
