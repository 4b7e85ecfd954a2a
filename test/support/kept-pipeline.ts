/**
 * A pipeline whose answers wait for the record of their input (`wait: input`), on real parts that are killed under load: whatever was
 * answered must be in Kafka (I8), and no request may hang.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PipelineResource } from '../../api/resources/resource.ts'
import { waitFor } from '../../cli/wait.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { packageRoot } from '../../kit/root.ts'
import { keysOf } from './kafka-records.ts'
import { startKafkaCluster, type TestKafkaCluster } from './kafka.ts'
import { startMesh, type TestMesh } from './mesh.ts'
import { applyAvailable, until } from './models.ts'

const PIPELINE = 'kept'
const REQUEST = readFileSync(join(packageRoot, 'samples/requests/iris.json'), 'utf8')
const CALLERS = 8
/** Above the journal's own 15 s: whoever waits longer hangs. */
const HANGS_MS = 30_000
const PROGRESS_MS = 120_000

export interface KeptPipeline {
  readonly mesh: TestMesh
  readonly kafka: TestKafkaCluster
  readonly stop: () => Promise<void>
}

/** One model, two gateways that come back when they are killed, and as many brokers as are wanted. */
export async function startKeptPipeline(brokers: number): Promise<KeptPipeline> {
  const kafka = await startKafkaCluster(brokers)
  try {
    const mesh = await startMesh({
      replicas: 1,
      pipelineGateways: 2,
      pipelineGatewayFlags: ['--kafka-bootstrap-servers', kafka.bootstrapServers],
      restarts: (name) => name.startsWith('pipeline-gateway'),
    })
    const stop = async (): Promise<void> => {
      await mesh.stop()
      await kafka.stop()
    }
    try {
      await applyAvailable(mesh.admin, 'iris', { replicas: 1 })
      const pipeline: PipelineResource = {
        apiVersion: 'mlops.seldon.io/v1alpha1',
        kind: 'Pipeline',
        metadata: { name: PIPELINE },
        spec: { steps: [{ name: 'iris' }], output: { steps: ['iris'] } },
      }
      await mesh.admin.apply(pipeline)
      await waitFor(mesh.admin, { kind: 'Pipeline', name: PIPELINE }, 'available', 60_000)
      return { mesh, kafka, stop }
    } catch (error) {
      await mesh.stop()
      throw error
    }
  } catch (error) {
    await kafka.stop()
    throw error
  }
}

/** Keys, counted in and out. */
export interface KeptCounts {
  readonly sent: number
  readonly answered: number
  /** How requests ended, and how often. */
  readonly ends: Readonly<Record<string, number>>
  readonly inputs: number
  readonly outputs: number
  /** Empty when all is well. */
  readonly problems: readonly string[]
}

export interface KeptLoad {
  /** Resolves after so many more answers. */
  readonly moreAnswers: (what: string, count: number) => Promise<void>
  /** Resolves when a request ends so from now on. */
  readonly untilEnd: (end: string) => Promise<void>
  /** No new requests; resolves when those that run have ended. */
  readonly stop: () => Promise<void>
  /** Of a load that was stopped: compares it with Kafka. */
  readonly count: () => Promise<KeptCounts>
}

/** One request to a pipeline of the model `iris`; its body is read. */
export async function askIris(
  ingress: string,
  pipeline: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const response = await fetch(`http://${ingress}/v2/pipelines/${pipeline}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: REQUEST,
    signal: AbortSignal.timeout(HANGS_MS),
  })
  await response.text()
  return response
}

/** Eight callers, each with one request at a time; a refused one comes with a new id. */
export function startKeptLoad({ mesh, kafka }: KeptPipeline): KeptLoad {
  const sent = new Set<string>()
  const answered = new Set<string>()
  const ends: string[] = []
  let isLoading = true
  const ask = async (): Promise<string> => {
    const id = randomUUID()
    sent.add(id)
    try {
      const response = await askIris(mesh.ingress, PIPELINE, { 'x-request-id': id })
      if (response.status === 200) answered.add(id)
      return String(response.status)
    } catch (error) {
      return error instanceof Error && error.name === 'TimeoutError' ? 'HUNG' : String(error)
    }
  }
  const call = async (): Promise<void> => {
    while (isLoading) ends.push(await ask())
  }
  const callers = Array.from({ length: CALLERS }, call)
  const idsIn = async (side: 'inputs' | 'outputs'): Promise<ReadonlySet<string>> => {
    const client = connectKafka(parseConnection('test', { 'bootstrap.servers': kafka.bootstrapServers }), 'test')
    const keys = await keysOf(client, `seldon.default.pipeline.${PIPELINE}.${side}`)
    return new Set([...keys].map((key) => key.split('.').at(2) ?? ''))
  }
  return {
    moreAnswers: async (what, count) => {
      const goal = answered.size + count
      await until(`answers ${what}`, () => answered.size >= goal, PROGRESS_MS)
    },
    untilEnd: async (end) => {
      const before = ends.length
      await until(`an end ${end}`, () => ends.includes(end, before), PROGRESS_MS)
    },
    stop: async () => {
      isLoading = false
      await Promise.all(callers)
    },
    count: async () => {
      const [inputs, outputs] = [await idsIn('inputs'), await idsIn('outputs')]
      const counted: Record<string, number> = {}
      for (const end of ends) counted[end] = (counted[end] ?? 0) + 1
      const missing = [...answered].filter((id) => !inputs.has(id))
      const unknown = [...inputs, ...outputs].filter((id) => !sent.has(id))
      const wrongEnds = Object.keys(counted).filter((end) => !/^(?:200|50[234])$/.test(end))
      const problems = [
        ...missing.map((id) => `request ${id} was answered, and its input is not in Kafka`),
        ...unknown.map((id) => `a record of request ${id} that nobody sent`),
        ...wrongEnds.map((end) => `${String(counted[end])} requests ended with ${end}`),
      ]
      return {
        sent: sent.size,
        answered: answered.size,
        ends: counted,
        inputs: inputs.size,
        outputs: outputs.size,
        problems,
      }
    },
  }
}
