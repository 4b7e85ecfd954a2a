/** A whole Millrace with an instant model server, three models, one pipeline gateway, and pipelines of three shapes. */
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { waitFor } from '../../cli/wait.ts'
import { startMesh, type TestMesh } from '../../test/support/mesh.ts'
import { applyAvailable } from '../../test/support/models.ts'
import { setToolPaths } from '../../test/support/tools.ts'
import type { NativeTools } from '../support/native.ts'

export const SHAPES = ['one', 'chain3', 'join2'] as const
export type Shape = (typeof SHAPES)[number]
/** What an answer waits for; `none` records nothing. */
export const WAITS = ['none', 'input', 'all'] as const
export type Wait = (typeof WAITS)[number]

export const MODEL = 'm1'
const READY_MS = 60_000
const STEPS: Readonly<Record<Shape, PipelineSpec>> = {
  one: { steps: [{ name: 'm1' }], output: { steps: ['m1'] } },
  chain3: {
    steps: [{ name: 'm1' }, { name: 'm2', inputs: ['m1'] }, { name: 'm3', inputs: ['m2'] }],
    output: { steps: ['m3'] },
  },
  join2: {
    steps: [{ name: 'm1' }, { name: 'm2' }, { name: 'm3', inputs: ['m1', 'm2'] }],
    output: { steps: ['m3'] },
  },
}

export const pipelineName = (shape: Shape, wait: Wait): string => `${shape}-${wait}`

/** Of a running arena; without Kafka only `none` is there. */
export async function openArena(tools: NativeTools, bootstrapServers: string | undefined): Promise<TestMesh> {
  await setToolPaths()
  const mesh = await startMesh({
    replicas: 1,
    pipelineGateways: 1,
    modelServer: [tools.server, '-raw'], // as model servers answer a gateway, which sends raw contents
    pipelineGatewayFlags: bootstrapServers === undefined ? [] : ['--kafka-bootstrap-servers', bootstrapServers],
  })
  try {
    for (const name of ['m1', 'm2', 'm3']) await applyAvailable(mesh.admin, name, { replicas: 1 })
    for (const shape of SHAPES)
      for (const wait of bootstrapServers === undefined ? (['none'] as const) : WAITS) {
        const name = pipelineName(shape, wait)
        const dataflow = wait === 'none' ? ({ record: 'none' } as const) : ({ record: 'all', wait } as const)
        await mesh.admin.apply({
          apiVersion: 'mlops.seldon.io/v1alpha1',
          kind: 'Pipeline',
          metadata: { name },
          spec: { ...STEPS[shape], dataflow },
        })
        await waitFor(mesh.admin, { kind: 'Pipeline', name }, 'available', READY_MS)
      }
    return mesh
  } catch (error) {
    process.stderr.write(mesh.logTails())
    await mesh.stop()
    throw error
  }
}
