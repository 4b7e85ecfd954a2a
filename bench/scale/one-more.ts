/** One more model beside all the others: its artefact copied, a real agent, the embedded server. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../../kit/backoff.ts'
import { IRIS_V1 } from '../../test/support/models.ts'
import { createRestSender } from '../../test/support/open-loop.ts'
import type { FleetMesh } from '../support/fleet-mesh.ts'
import { median, percentile } from '../support/statistics.ts'
import { say } from '../support/progress.ts'

const DEADLINE_MS = 60_000
const REQUEST_DEADLINE_MS = 5_000
const POLL_MS = 1

/** Milliseconds from sending LoadModel to the first 200 through Envoy. */
export async function loadOneMore(fleet: FleetMesh, name: string): Promise<number> {
  const artifact = join(fleet.mesh.folder, 'artifacts', name)
  cpSync(IRIS_V1, artifact, { recursive: true })
  const sender = createRestSender(fleet.mesh.ingress)
  try {
    const sentMs = performance.now()
    const [answeredMs] = await Promise.all([
      untilAnswered(sender.send, name),
      fleet.loader.load({ name, storageUri: artifact, requirement: 'onnx', replicas: 1 }),
    ])
    return answeredMs - sentMs
  } finally {
    await sender.close()
  }
}

/** When the model first answers well. */
export async function untilAnswered(
  send: ReturnType<typeof createRestSender>['send'],
  name: string,
  deadlineMs: number = DEADLINE_MS,
): Promise<number> {
  const deadline = AbortSignal.timeout(deadlineMs)
  for (;;) {
    const { ok } = await send(name, REQUEST_DEADLINE_MS)
    if (ok) return performance.now()
    deadline.throwIfAborted()
    await pause(POLL_MS, deadline)
  }
}

export async function measureOneMore(fleet: FleetMesh, samples: number): Promise<{ p50: number; p99: number }> {
  const took: number[] = []
  for (let sample = 0; sample < samples; sample += 1) took.push(await loadOneMore(fleet, `one-more-${String(sample)}`))
  say(`one more model: ${took.map((ms) => ms.toFixed(0)).join(' ')} ms`)
  return { p50: median(took), p99: percentile(took, 0.99) }
}
