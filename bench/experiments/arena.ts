/** Two whole Millraces before instant servers: one without experiments at first, one with many. Envoys have one core, all else the other. */
import type { ExperimentSpec } from '../../api/resources/experiment.ts'
import type { StoredExperiment } from '../../api/resources/status.ts'
import { experimentResource } from '../../test/support/experiments.ts'
import { eachOf } from '../../test/support/many-models.ts'
import { startMesh, type TestMesh } from '../../test/support/mesh.ts'
import { applyAvailable, until } from '../../test/support/models.ts'
import { setToolPaths } from '../../test/support/tools.ts'
import { cpuSeconds } from '../support/cpu.ts'
import { type NativeTools, pin } from '../support/native.ts'
import { say } from '../support/progress.ts'

export const ENVOY_CORE = 0
export const LOAD_CORE = 1
export const ENVOYS = 2
const ACTIVE_DEADLINE_MS = 300_000

/** `other` is in no experiment. */
const MODELS = ['base', 'canary', 'shadow', 'other'] as const

export interface Arena {
  readonly none: TestMesh
  readonly many: TestMesh
  /** Names of the experiments that stand in `many`. */
  readonly standing: readonly string[]
  stop(): Promise<void>
}

export async function openArena(tools: NativeTools, experiments: number): Promise<Arena> {
  await setToolPaths()
  const none = await openMesh(tools)
  const many = await openMesh(tools).catch(async (error: unknown) => {
    await none.stop()
    throw error
  })
  const stop = async () => {
    await Promise.all([none.stop(), many.stop()])
  }
  try {
    const standing = Array.from({ length: experiments }, (_, index) => `e-${String(index)}`)
    await applyAll(many, standing)
    return { none, many, standing, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function openMesh(tools: NativeTools): Promise<TestMesh> {
  const mesh = await startMesh({
    replicas: 1,
    envoys: ENVOYS,
    envoyConcurrency: 1,
    modelServer: [tools.server],
    // The instant server keeps no list of what it has loaded: looked at, it would be given its models again and again.
    agentFlags: ['--name-source', 'header', '--audit-interval-ms', '3600000'],
  })
  for (const name of MODELS) await applyAvailable(mesh.admin, name, { replicas: 1 })
  for (const name of mesh.childNames) await pin(mesh.pid(name), name.startsWith('envoy-') ? ENVOY_CORE : LOAD_CORE)
  return mesh
}

/** As a user's would be: sticky, with a rule for somebody. */
export const specOf = (canaryWeight: number): ExperimentSpec => ({
  candidates: [
    { name: 'base', weight: 100 - canaryWeight },
    { name: 'canary', weight: canaryWeight, match: [{ header: 'x-team', exact: 'ours' }] },
  ],
  stickiness: { header: 'x-user-id' },
})

async function applyAll({ admin }: TestMesh, names: readonly string[]): Promise<void> {
  const startedMs = performance.now()
  await eachOf(names, (name) => admin.apply(experimentResource(name, specOf(10))))
  const isActive = (experiment: unknown): boolean => (experiment as StoredExperiment).status?.active === true
  await until(
    `${String(names.length)} active experiments`,
    async () => (await admin.list('Experiment')).filter(isActive).length === names.length,
    ACTIVE_DEADLINE_MS,
  )
  say(`${String(names.length)} experiments active after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`)
}

/** CPU seconds that its Envoys have used. */
export const envoyCpu = (mesh: TestMesh): number =>
  mesh.childNames.filter((name) => name.startsWith('envoy-')).reduce((sum, name) => sum + cpuSeconds(mesh.pid(name)), 0)
