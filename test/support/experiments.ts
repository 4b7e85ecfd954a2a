/** Applying experiments to a mesh under test, and waiting for what becomes of them by watching. */
import type { ExperimentSpec } from '../../api/resources/experiment.ts'
import type { ExperimentResource } from '../../api/resources/resource.ts'
import type { ExperimentStatus, StoredExperiment } from '../../api/resources/status.ts'
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { pause } from '../../kit/backoff.ts'

const DEADLINE_MS = 30_000

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
  while (!deadline.aborted) {
    try {
      for await (const event of admin.watch('Experiment', name, deadline)) {
        if (event.kind !== 'state') continue
        last = (event.resource as StoredExperiment).status
        if (last !== undefined && wanted(last)) return last
      }
    } catch {
      await pause(50, deadline) // the scheduler may be down on purpose
    }
  }
  throw new Error(
    `experiment ${name} not as wanted within ${String(deadlineMs)} ms; last status: ${JSON.stringify(last)}`,
  )
}

export async function applyActive(admin: AdminClient, name: string, spec: ExperimentSpec): Promise<void> {
  await admin.apply(experimentResource(name, spec))
  await untilExperiment(admin, name, ({ active }) => active === true)
}
