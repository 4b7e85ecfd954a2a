/** The scheduler is killed and started while many models answer: what fails, and when it takes a new model. */
import { parseArgs } from 'node:util'
import { pause } from '../../kit/backoff.ts'
import { modelNames } from '../../test/support/many-models.ts'
import { createRestSender, describeFailures, startLoad } from '../../test/support/open-loop.ts'
import { IRIS_V1 } from '../../test/support/models.ts'
import type { Bench } from '../main.ts'
import { untilAnswered } from '../scale/one-more.ts'
import { type FleetMesh, startFleetMesh } from '../support/fleet-mesh.ts'
import { loadAll } from '../support/many-models.ts'
import { buildNative } from '../support/native.ts'
import { say } from '../support/progress.ts'

const RATE_PER_PROTOCOL = 100
const BEFORE_MS = 2_000
const AFTER_MS = 10_000
const RETRY_MS = 10
const DEADLINE_MS = 120_000

export const restart: Bench = {
  summary: 'the scheduler killed and started under 200 requests/s [--models 10000]',
  run: async (argv) => {
    const { values } = parseArgs({ args: [...argv], options: { models: { type: 'string', default: '10000' } } })
    const names = modelNames(Number(values.models))
    const tools = await buildNative()
    const fleet = await startFleetMesh(tools)
    try {
      await loadAll(tools, fleet, names)
      const load = startLoad({ ingress: fleet.mesh.ingress, model: names, ratePerSecond: RATE_PER_PROTOCOL })
      const never = new AbortController().signal
      await pause(BEFORE_MS, never) // requests before the kill
      const seconds = await recover(fleet)
      await pause(AFTER_MS, never) // agents come back, and whatever that leads to
      const report = await load.stop()
      say(`took a model after ${seconds.toFixed(2)} s: ${describeFailures(report)}`)
      return { recover_s: seconds, failed: report.failed.length }
    } catch (error) {
      process.stderr.write(`${fleet.mesh.logTails()}\n`)
      throw error
    } finally {
      await fleet.stop()
    }
  },
}

/** Seconds from the kill until a new model answers through Envoy. */
async function recover({ mesh, loader }: FleetMesh): Promise<number> {
  const killedMs = performance.now()
  await mesh.kill('scheduler')
  const sender = createRestSender(mesh.ingress)
  const started = mesh.start('scheduler')
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  const model = { name: 'after-restart', storageUri: IRIS_V1, requirement: 'onnx', replicas: 1 }
  const accepted = async (): Promise<boolean> =>
    loader.load(model).then(
      () => true,
      () => false,
    )
  try {
    while (!(await accepted())) {
      deadline.throwIfAborted()
      await pause(RETRY_MS, deadline)
    }
    say(`accepts a model ${((performance.now() - killedMs) / 1_000).toFixed(2)} s after the kill`)
    const answeredMs = await untilAnswered(sender.send, model.name, DEADLINE_MS)
    await started
    return (answeredMs - killedMs) / 1_000
  } finally {
    await sender.close()
  }
}
