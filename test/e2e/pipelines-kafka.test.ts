/**
 * I8 on a real broker: with `wait: input` every request that got an answer has its input in Kafka, over a kill of a gateway and of
 * the broker; no request hangs. Keys are counted in and out.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PipelineResource } from '../../api/resources/resource.ts'
import { waitFor } from '../../cli/wait.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { packageRoot } from '../../kit/root.ts'
import { keysOf } from '../support/kafka-records.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { applyAvailable, until } from '../support/models.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const PIPELINE = 'kept'
const TOPIC = `seldon.default.pipeline.${PIPELINE}.inputs`
const REQUESTS = readFileSync(join(packageRoot, 'samples/requests/iris.json'), 'utf8')
const WORKERS = 8
/** Above the journal's own 15 s: whoever waits longer hangs. */
const HANGS_MS = 30_000

let mesh: TestMesh
let kafka: TestKafka
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  kafka = await startKafka()
  mesh = await startMesh({
    replicas: 1,
    pipelineGateways: 2,
    pipelineGatewayFlags: ['--kafka-bootstrap-servers', kafka.bootstrapServers],
    restarts: (name) => name.startsWith('pipeline-gateway'),
  })
  await applyAvailable(mesh.admin, 'iris', { replicas: 1 })
  const pipeline: PipelineResource = {
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Pipeline',
    metadata: { name: PIPELINE },
    spec: { steps: [{ name: 'iris' }], output: { steps: ['iris'] } },
  }
  await mesh.admin.apply(pipeline)
  await waitFor(mesh.admin, { kind: 'Pipeline', name: PIPELINE }, 'available', 60_000)
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await mesh.stop()
  await kafka.stop()
})

/** The request ids in the topic. */
async function recordedIds(): Promise<ReadonlySet<string>> {
  const kafkaClient = connectKafka(parseConnection('test', { 'bootstrap.servers': kafka.bootstrapServers }), 'test')
  return new Set([...(await keysOf(kafkaClient, TOPIC))].map((key) => key.split('.').at(2) ?? ''))
}

test('what was answered is in Kafka, over a kill of a gateway and of the broker, and nothing hangs', async () => {
  const answered: string[] = []
  const ends: string[] = []
  let isLoading = true
  const ask = async (): Promise<string> => {
    const id = randomUUID()
    try {
      const response = await fetch(`http://${mesh.ingress}/v2/pipelines/${PIPELINE}/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-request-id': id },
        body: REQUESTS,
        signal: AbortSignal.timeout(HANGS_MS),
      })
      await response.text()
      if (response.status === 200) answered.push(id)
      return String(response.status)
    } catch (error) {
      return error instanceof Error && error.name === 'TimeoutError' ? 'HUNG' : String(error)
    }
  }
  const load = async (): Promise<void> => {
    while (isLoading) ends.push(await ask())
  }
  const loads = Array.from({ length: WORKERS }, load)
  const moreAnswers = async (what: string, count: number): Promise<void> => {
    const before = answered.length
    await until(`answers ${what}`, () => answered.length >= before + count, 60_000)
  }
  try {
    await moreAnswers('at first', 300)
    await mesh.kill('pipeline-gateway-0')
    await moreAnswers('after the kill of a gateway', 300)
    await kafka.kill()
    await until('a refusal while the broker is gone', () => ends.includes('503'), 60_000)
    await kafka.start()
    await moreAnswers('after the broker came back', 300)
  } finally {
    isLoading = false
    await Promise.all(loads)
  }
  expect(ends.filter((end) => !/^(?:200|50[234])$/.test(end))).toEqual([])
  const recorded = await recordedIds()
  expect(answered.filter((id) => !recorded.has(id))).toEqual([])
  expect(new Set(answered).size).toBe(answered.length)
}, 180_000)
