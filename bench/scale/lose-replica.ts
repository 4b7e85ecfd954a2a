import type { StoredModel } from '../../api/resources/status.ts'
import type { FleetMesh } from '../support/fleet-mesh.ts'
import { startAsker } from '../support/many-models.ts'
import type { NativeTools } from '../support/native.ts'
import { say } from '../support/progress.ts'

/** Seconds from killing a replica's server and agent until every model that it held answers over REST and gRPC. */
export async function loseReplica(tools: NativeTools, fleet: FleetMesh): Promise<number> {
  const held = (await fleet.mesh.admin.list('Model')).filter((model) => isOn(model as StoredModel, fleet.lastReplica))
  const killedMs = performance.now()
  await fleet.loseReplica()
  const asker = startAsker(tools, fleet.mesh.ingress)
  for (const model of held) asker.ask(model.metadata.name)
  await asker.answered()
  const seconds = (performance.now() - killedMs) / 1_000
  say(`${String(held.length)} models of ${fleet.lastReplica} answer from elsewhere after ${seconds.toFixed(2)} s`)
  return held.length === 0 ? Number.NaN : seconds
}

const isOn = ({ status }: StoredModel, replica: string): boolean =>
  (status?.versions ?? []).some((version) => version.replicas?.some((copy) => copy.replica === replica) === true)
