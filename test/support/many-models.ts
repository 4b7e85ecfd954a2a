/** A thousand models and more: applied, awaited and asked a bounded number at a time. */
import type { ModelResource } from '../../api/resources/resource.ts'
import type { StoredModel } from '../../api/resources/status.ts'
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { createRestSender } from './open-loop.ts'
import { modelResource } from './models.ts'

const AT_ONCE = 32
const DEADLINE_MS = 100_000

export const modelNames = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `m-${String(index).padStart(4, '0')}`)

/** Applies them all and waits until all are available, by one watch. */
export async function applyManyAvailable(
  admin: AdminClient,
  names: readonly string[],
  spec: Partial<ModelResource['spec']>,
): Promise<void> {
  const available = untilAllAvailable(admin, names)
  await eachOf(names, (name) => admin.apply(modelResource(name, spec)))
  await available
}

async function untilAllAvailable(admin: AdminClient, names: readonly string[]): Promise<void> {
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  const states = new Map(names.map((name) => [name, 'not seen']))
  for await (const event of admin.watch('Model', '', deadline)) {
    if (event.kind !== 'state') continue
    const { metadata, status } = event.resource as StoredModel
    if (status?.state === 'ModelAvailable') states.delete(metadata.name)
    else if (states.has(metadata.name)) states.set(metadata.name, `${status?.state ?? ''}: ${status?.reason ?? ''}`)
    if (states.size === 0) return
  }
  const [first] = states
  throw new Error(
    `${String(states.size)} of ${String(names.length)} models not available in time, as ${String(first?.join(' '))}`,
  )
}

/** Asks each model once, over REST; the ones that did not answer, with what came instead. */
export async function failuresOf(ingress: string, names: readonly string[]): Promise<readonly string[]> {
  const client = createRestSender(ingress)
  const failures: string[] = []
  await eachOf(names, async (name) => {
    const { ok, servedBy, status, detail } = await client.send(name, 10_000)
    if (!ok || servedBy.replace(/_\d+$/, '') !== name) failures.push(`${name}: ${status} ${servedBy}${detail}`)
  })
  await client.close()
  return failures
}

/** `work` for every entry, a bounded number at a time. */
export async function eachOf<T>(entries: readonly T[], work: (entry: T) => Promise<unknown>): Promise<void> {
  const left = entries.values()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const entry of left) await work(entry)
    }),
  )
}
