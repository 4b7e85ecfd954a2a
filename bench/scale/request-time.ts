/** The time of a request among many models, over that of the only model of a mesh beside it, round by round. */
import { startMesh } from '../../test/support/mesh.ts'
import { applyAvailable } from '../../test/support/models.ts'
import type { FleetMesh } from '../support/fleet-mesh.ts'
import { type NativeTools, pin, runLoad } from '../support/native.ts'
import { say } from '../support/progress.ts'
import { median } from '../support/statistics.ts'

const ENVOY_CORE = 0
const LOAD_CORE = 1
const ROUNDS = 15
const ROUND_SECONDS = 0.4

/** The worst median of first, last and random model, by REST and gRPC, over N = 1. */
export async function requestRatio(tools: NativeTools, fleet: FleetMesh, names: readonly string[]): Promise<number> {
  const random = names[Math.floor(Math.random() * names.length)] ?? ''
  const asked = { first: names[0] ?? '', last: names.at(-1) ?? '', random }
  const single = await startMesh({ replicas: 1, envoyConcurrency: 1, modelServer: [tools.server] })
  try {
    await applyAvailable(single.admin, asked.first, { replicas: 1 })
    for (const mesh of [single, fleet.mesh])
      for (const name of mesh.childNames)
        if (mesh.isRunning(name)) await pin(mesh.pid(name), name === 'envoy-0' ? ENVOY_CORE : LOAD_CORE)
    const contenders = [
      { name: 'single', address: single.ingress, model: asked.first },
      ...Object.entries(asked).map(([name, model]) => ({ name, address: fleet.mesh.ingress, model })),
    ]
    const ratios: number[] = []
    for (const protocol of ['rest', 'grpc'] as const) {
      const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]))
      for (let round = 0; round <= ROUNDS; round += 1)
        for (const { name, ...target } of contenders) {
          const { p50Us } = await runLoad(tools, LOAD_CORE, {
            ...target,
            protocol,
            connections: 1,
            seconds: ROUND_SECONDS,
          })
          if (round > 0) times.get(name)?.push(p50Us) // the first warms up
        }
      const medians = contenders.map(({ name }) => median(times.get(name) ?? []))
      say(
        `${protocol} p50: ${contenders.map(({ name }, at) => `${name} ${(medians[at] ?? 0).toFixed(0)}`).join(', ')} µs`,
      )
      const [base = Number.NaN, ...others] = medians
      ratios.push(...others.map((time) => time / base))
    }
    return Math.max(...ratios)
  } finally {
    await single.stop()
  }
}
