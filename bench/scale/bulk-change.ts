/** Many specs changed at once while requests go on. */
import type { StoredModel } from '../../api/resources/status.ts'
import { ServingError } from '../../kit/errors.ts'
import { eachOf } from '../../test/support/many-models.ts'
import { describeFailures, startLoad } from '../../test/support/open-loop.ts'
import type { FleetMesh } from '../support/fleet-mesh.ts'
import { fleetModel } from '../support/many-models.ts'
import { say } from '../support/progress.ts'

const RATE_PER_PROTOCOL = 100
const DEADLINE_MS = 180_000

/** Failed requests out of 200 a second, to the models that change, until the last old version is gone. */
export async function changeManyUnderLoad(fleet: FleetMesh, names: readonly string[]): Promise<number> {
  const changed = untilOnlyNewVersions(fleet, names)
  const load = startLoad({ ingress: fleet.mesh.ingress, model: names, ratePerSecond: RATE_PER_PROTOCOL })
  const startedMs = performance.now()
  await eachOf([...names.entries()], ([index, name]) =>
    fleet.loader.load({ ...fleetModel(name, index), parameter: 'changed' }),
  )
  say(`${String(names.length)} specs changed after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`)
  await changed
  const report = await load.stop()
  say(
    `all on new versions after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s: ${describeFailures(report)}`,
  )
  return report.failed.length
}

async function untilOnlyNewVersions(fleet: FleetMesh, names: readonly string[]): Promise<void> {
  const left = new Set(names)
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  for await (const event of fleet.mesh.admin.watch('Model', '', deadline)) {
    if (event.kind !== 'state') continue
    const { metadata, status } = event.resource as StoredModel
    const [version, ...older] = status?.versions ?? []
    if (status?.state === 'ModelAvailable' && version?.version === 2 && older.length === 0) left.delete(metadata.name)
    if (left.size === 0) return
  }
  const first = [...left][0] ?? ''
  throw new ServingError('LOAD_TIMEOUT', `${String(left.size)} models did not change in time, as ${first}`)
}
