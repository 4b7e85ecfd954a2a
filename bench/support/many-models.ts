/** The models of the fleet: loaded, then asked through Envoy by REST and gRPC until each has answered both. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { ServingError } from '../../kit/errors.ts'
import { eachOf } from '../../test/support/many-models.ts'
import { IRIS_V1 } from '../../test/support/models.ts'
import { FLEET_CAPABILITY, type FleetMesh } from './fleet-mesh.ts'
import type { ModelToLoad } from './model-loader.ts'
import type { NativeTools } from './native.ts'
import { say } from './progress.ts'

const MOST_COPIES = 3

/** Models take one to three replicas in turn. */
export const fleetModel = (name: string, index: number): ModelToLoad => ({
  name,
  storageUri: IRIS_V1, // the fleet reads no artefacts
  requirement: FLEET_CAPABILITY,
  replicas: 1 + (index % MOST_COPIES),
})

/** Seconds from the first LoadModel until every model has answered over REST and gRPC. */
export async function loadAll(tools: NativeTools, fleet: FleetMesh, names: readonly string[]): Promise<number> {
  const startedMs = performance.now()
  const asker = startAsker(tools, fleet.mesh.ingress)
  const indexOf = new Map(names.map((name, index) => [name, index]))
  let accepted = 0
  await eachOf(names, async (name) => {
    await fleet.loader.load(fleetModel(name, indexOf.get(name) ?? 0))
    asker.ask(name)
    accepted += 1
    if (accepted % 1_000 === 0) say(`${String(accepted)} models accepted`)
  })
  await asker.answered()
  const seconds = (performance.now() - startedMs) / 1_000
  say(`${String(names.length)} models answer over REST and gRPC after ${seconds.toFixed(1)} s`)
  return seconds
}

export interface Asker {
  /** What is named is asked in that order, a few at a time, again until it answers. */
  ask(name: string): void
  /** @throws ServingError PROCESS_FAILED naming models that never answered. */
  answered(): Promise<void>
}

export function startAsker(tools: NativeTools, ingress: string): Asker {
  const child = spawn(tools.askEach, [`-address=${ingress}`], { stdio: ['pipe', 'pipe', 'inherit'] })
  const output = text(child.stdout)
  const exited = once(child, 'exit')
  return {
    ask: (name) => {
      child.stdin.write(`${name}\n`)
    },
    answered: async () => {
      child.stdin.end()
      const { failed } = JSON.parse(await output) as { failed: readonly string[] }
      await exited
      if (failed.length === 0) return
      const shown = failed.slice(0, 5).join('; ')
      throw new ServingError('PROCESS_FAILED', `${String(failed.length)} models did not answer: ${shown}`)
    },
  }
}
