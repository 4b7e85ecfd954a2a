/** Many pipelines on two gateways: loading them, one more of them, and what that does to requests of another one. No Kafka. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import type { PipelineResource } from '../../api/resources/resource.ts'
import type { StoredPipeline } from '../../api/resources/status.ts'
import { ServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import { eachOf } from '../../test/support/many-models.ts'
import { startMesh, type TestMesh } from '../../test/support/mesh.ts'
import { applyAvailable, until } from '../../test/support/models.ts'
import { describeFailures } from '../../test/support/open-loop.ts'
import { startPipelineLoad } from '../../test/support/pipeline-load.ts'
import { setToolPaths } from '../../test/support/tools.ts'
import { JAVASCRIPT_MODELS_FLAGS } from '../../up/servers/javascript-models.ts'
import type { Bench } from '../main.ts'
import { residentMb } from '../support/memory.ts'
import { say } from '../support/progress.ts'
import { median, percentile } from '../support/statistics.ts'

const MODEL = 'add10'
const DEADLINE_MS = 300_000
const SAMPLES = 20
const WARM_UP_REQUESTS = 200
const ALONE_REQUESTS = 300

export const manyPipelines: Bench = {
  summary: 'many pipelines, and one more under 100 requests/s [--pipelines 1000]',
  run: async (argv) => {
    const { values } = parseArgs({ args: [...argv], options: { pipelines: { type: 'string', default: '1000' } } })
    const names = Array.from({ length: Number(values.pipelines) }, (_, index) => `p-${String(index)}`)
    await setToolPaths()
    const mesh = await startMesh({
      replicas: 1,
      pipelineGateways: 2,
      envoyConcurrency: 1,
      modelServerFlags: JAVASCRIPT_MODELS_FLAGS.modelServer,
      agentFlags: JAVASCRIPT_MODELS_FLAGS.agent,
    })
    try {
      const storageUri = join(packageRoot, 'samples/javascript', MODEL)
      await applyAvailable(mesh.admin, MODEL, { storageUri, requirements: ['javascript'], replicas: 1 })
      const loadSeconds = await loadAll(mesh, names)
      return { load_s: loadSeconds, ...(await measureOneMore(mesh, names[0] ?? '')), ...memoryOf(mesh) }
    } catch (error) {
      process.stderr.write(`${mesh.logTails()}\n`)
      throw error
    } finally {
      await mesh.stop()
    }
  },
}

const aPipeline = (name: string): PipelineResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Pipeline',
  metadata: { name },
  spec: { steps: [{ name: MODEL }], output: { steps: [MODEL] } },
})

async function loadAll(mesh: TestMesh, names: readonly string[]): Promise<number> {
  const startedMs = performance.now()
  const ready = untilReady(mesh, names)
  await eachOf(names, (name) => mesh.admin.apply(aPipeline(name)))
  await ready
  const seconds = (performance.now() - startedMs) / 1_000
  say(`${String(names.length)} pipelines ready after ${seconds.toFixed(1)} s`)
  return seconds
}

async function untilReady(mesh: TestMesh, names: readonly string[]): Promise<void> {
  const left = new Set(names)
  for await (const event of mesh.admin.watch('Pipeline', '', AbortSignal.timeout(DEADLINE_MS))) {
    if (event.kind !== 'state') continue
    const { metadata, status } = event.resource as StoredPipeline
    if (status?.state === 'PipelineReady') left.delete(metadata.name)
    if (left.size === 0) return
  }
  throw new ServingError('LOAD_TIMEOUT', `${String(left.size)} pipelines are not ready, as ${[...left][0] ?? ''}`)
}

/** From sending the apply to the first answer through Envoy, while another pipeline is asked all the time. */
async function measureOneMore(mesh: TestMesh, steady: string) {
  const versions = { '1': (input: number) => input + 10 }
  const load = startPipelineLoad({ ingress: mesh.ingress, pipeline: steady, versions })
  const pool = new Pool(`http://${mesh.ingress}`, { connections: 1 })
  const took: number[] = []
  await until('requests alone', () => load.outcomes.length >= WARM_UP_REQUESTS + ALONE_REQUESTS)
  const from = load.outcomes.length
  try {
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      const name = `one-more-${String(sample)}`
      const sentMs = performance.now()
      await Promise.all([mesh.admin.apply(aPipeline(name)), untilAnswered(pool, name)])
      took.push(performance.now() - sentMs)
    }
  } finally {
    await pool.close()
  }
  const report = await load.stop()
  const latencies = report.outcomes.map(({ sentAtMs, endedAtMs }) => endedAtMs - sentAtMs)
  const alone = latencies.slice(WARM_UP_REQUESTS, from)
  const during = latencies.slice(from)
  say(`one more: ${took.map((ms) => ms.toFixed(0)).join(' ')} ms; meanwhile ${describeFailures(report)}`)
  return {
    one_more_p50_ms: median(took),
    one_more_max_ms: Math.max(...took),
    steady_failed: report.failed.length,
    steady_alone_p99_ms: percentile(alone, 0.99),
    steady_alone_max_ms: Math.max(...alone),
    steady_during_p99_ms: percentile(during, 0.99),
    steady_during_max_ms: Math.max(...during),
  }
}

async function untilAnswered(pool: Pool, name: string): Promise<void> {
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  const body = JSON.stringify({ inputs: [{ name: 'INPUT', datatype: 'FP32', shape: [1], data: [1] }] })
  const headers = { 'content-type': 'application/json' }
  for (;;) {
    const path = `/v2/pipelines/${name}/infer`
    const { statusCode, body: answer } = await pool.request({ method: 'POST', path, headers, body, signal: deadline })
    await answer.dump()
    if (statusCode === 200) return
  }
}

const memoryOf = (mesh: TestMesh) => ({
  scheduler_mb: residentMb(mesh.pid('scheduler')),
  gateway_mb: residentMb(mesh.pid('pipeline-gateway-0')),
  envoy_mb: residentMb(mesh.pid('envoy-0')),
})
