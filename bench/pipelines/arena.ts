/** A whole Millrace with an instant model server, three models, one pipeline gateway, and pipelines of three shapes. */
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { waitFor } from '../../cli/wait.ts'
import { startMesh, type TestMesh, type TestMeshOptions } from '../../test/support/mesh.ts'
import { applyAvailable } from '../../test/support/models.ts'
import { setToolPaths } from '../../test/support/tools.ts'
import type { NativeTools } from '../support/native.ts'

export const SHAPES = ['one', 'chain3', 'join2'] as const
export type Shape = (typeof SHAPES)[number]
/** What an answer waits for; `none` records nothing. */
export const WAITS = ['none', 'input', 'all'] as const
export type Wait = (typeof WAITS)[number]

export const MODEL = 'm1'
const MODELS = [MODEL, 'm2', 'm3'] as const
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

export interface ArenaPipeline {
  readonly name: string
  readonly shape: Shape
  readonly dataflow: NonNullable<PipelineSpec['dataflow']>
}

/** Every shape with every wait; without Kafka only `none` is there. */
export const pipelinesWith = (waits: readonly Wait[]): readonly ArenaPipeline[] =>
  SHAPES.flatMap((shape) =>
    waits.map((wait) => ({
      name: pipelineName(shape, wait),
      shape,
      dataflow: wait === 'none' ? { record: 'none' } : { record: 'all', wait },
    })),
  )

export async function openArena(
  tools: NativeTools,
  bootstrapServers: string | undefined,
  pipelines: readonly ArenaPipeline[],
  workers: Pick<TestMeshOptions, 'engines' | 'modelGateways'> = {},
): Promise<TestMesh> {
  await setToolPaths()
  const kafkaFlags = bootstrapServers === undefined ? [] : ['--kafka-bootstrap-servers', bootstrapServers]
  const mesh = await startMesh({
    ...workers,
    replicas: 1,
    pipelineGateways: 1,
    envoyConcurrency: 1,
    modelServer: [tools.server, '-raw'], // as model servers answer a gateway, which sends raw contents
    pipelineGatewayFlags: kafkaFlags,
    engineFlags: kafkaFlags,
    modelGatewayFlags: kafkaFlags,
  })
  try {
    for (const name of MODELS) await applyAvailable(mesh.admin, name, { replicas: 1 })
    for (const { name, shape, dataflow } of pipelines) {
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
