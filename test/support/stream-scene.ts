/** Real parts that read Kafka, with pipelines and models of numbers to feed: what is killed there is what users run. */
import type { PipelineResource } from '../../api/resources/resource.ts'
import { waitFor } from '../../cli/wait.ts'
import type { KafkaClient } from '../../dataflow/kafka/client.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { JAVASCRIPT_MODELS_FLAGS } from '../../up/servers/javascript-models.ts'
import { startKafka, type TestKafka } from './kafka.ts'
import { startMesh, type TestMesh, type TestMeshOptions } from './mesh.ts'
import { untilAvailable } from './models.ts'
import { sampleModel } from './pipeline-cases.ts'
import type { FedTarget } from './topic-feed.ts'

const READY_MS = 60_000
const MODELS = ['add10', 'mul10'] as const

export interface StreamScene {
  readonly mesh: TestMesh
  readonly broker: TestKafka
  readonly kafka: KafkaClient
  readonly stop: () => Promise<void>
}

export interface StreamSceneOptions extends Pick<
  TestMeshOptions,
  'engines' | 'pipelineGateways' | 'modelGateways' | 'absent' | 'restarts'
> {
  readonly pipelines: readonly PipelineResource[]
}

/** Of one number: ten more, times ten. */
export const numberPipeline = (
  name: string,
  dataflow: NonNullable<PipelineResource['spec']['dataflow']> = {},
): PipelineResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Pipeline',
  metadata: { name },
  spec: {
    steps: [{ name: 'add10' }, { name: 'mul10', inputs: ['add10'], tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' } }],
    output: { steps: ['mul10'] },
    dataflow,
  },
})

export const pipelineTarget = (name: string): FedTarget => ({
  inputs: `seldon.default.pipeline.${name}.inputs`,
  outputs: `seldon.default.pipeline.${name}.outputs`,
  makes: (input) => (input + 10) * 10,
})

/** Asked without a pipeline. */
export const ADD10_TARGET: FedTarget = {
  inputs: 'seldon.default.model.add10.inputs',
  outputs: 'seldon.default.model.add10.outputs',
  makes: (input) => input + 10,
}

/** Of the processes of a mesh that speak to Kafka. */
export function kafkaFlags(bootstrapServers: string) {
  const flags = ['--kafka-bootstrap-servers', bootstrapServers]
  return { pipelineGatewayFlags: flags, engineFlags: flags, modelGatewayFlags: flags }
}

/** Of a mesh with models in JavaScript. */
export const JAVASCRIPT_FLAGS = {
  modelServerFlags: JAVASCRIPT_MODELS_FLAGS.modelServer,
  agentFlags: JAVASCRIPT_MODELS_FLAGS.agent,
}

export async function startStreamScene({ pipelines, ...options }: StreamSceneOptions): Promise<StreamScene> {
  const broker = await startKafka()
  try {
    const flags = kafkaFlags(broker.bootstrapServers)
    const mesh = await startMesh({ replicas: 1, ...flags, ...JAVASCRIPT_FLAGS, ...options })
    const stop = async (): Promise<void> => {
      await mesh.stop()
      await broker.stop()
    }
    try {
      for (const name of MODELS) await mesh.admin.apply(sampleModel(name))
      for (const name of MODELS) await untilAvailable(mesh.admin, name)
      for (const pipeline of pipelines) await mesh.admin.apply(pipeline)
      for (const { kind, metadata } of pipelines)
        await waitFor(mesh.admin, { kind, name: metadata.name }, 'available', READY_MS)
      const kafka = connectKafka(parseConnection('test', { 'bootstrap.servers': broker.bootstrapServers }), 'test')
      return { mesh, broker, kafka, stop }
    } catch (error) {
      await mesh.stop()
      throw error
    }
  } catch (error) {
    await broker.stop()
    throw error
  }
}
