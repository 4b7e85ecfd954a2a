/**
 * Many models and as many pipelines, each of one step, all fed through Kafka: how long until they are ready and until each has
 * answered a record, what reading them costs while nothing comes, and what some more of them do to the records of another one.
 */
import { parseArgs } from 'node:util'
import type { PipelineResource } from '../../api/resources/resource.ts'
import { IRIS_V1, modelResource, untilAvailable } from '../../test/support/models.ts'
import { eachOf } from '../../test/support/many-models.ts'
import { BUSY, startKafka, type TestKafka } from '../../test/support/kafka.ts'
import { startMesh, type TestMesh } from '../../test/support/mesh.ts'
import { kafkaFlags } from '../../test/support/stream-scene.ts'
import { setToolPaths } from '../../test/support/tools.ts'
import { waitFor } from '../../cli/wait.ts'
import { ServingError } from '../../kit/errors.ts'
import type { Bench } from '../main.ts'
import { cpuSeconds } from '../support/cpu.ts'
import { residentMb } from '../support/memory.ts'
import { buildNative } from '../support/native.ts'
import { say } from '../support/progress.ts'
import { median } from '../support/statistics.ts'
import { forSeconds, startStreamClient, type StreamClient, through } from './stream-client.ts'

const DEADLINE_MS = 300_000
const IDLE_MS = 20_000
const ALONE_SECONDS = 5
const MORE = 10
/** Of the broker, which has four topics of each. */
const HEAP_MB = 2_048
const STEADY = '0'
/** A pipeline must not be called as one of its steps. */
const modelOf = (unit: string): string => `m-${unit}`
const pipelineOf = (unit: string): string => `p-${unit}`
/** Whose time while nothing happens is told. */
const PROCESSES = {
  engine: 'engine-0',
  model_gateway: 'model-gateway-0',
  pipeline_gateway: 'pipeline-gateway-0',
} as const

export const manyStreams: Bench = {
  summary: 'many models and pipelines fed through Kafka, and some more [--units 1000] [--execution direct]',
  run: async (argv) => {
    const { values } = parseArgs({
      args: [...argv],
      options: { units: { type: 'string', default: '1000' }, execution: { type: 'string', default: 'direct' } },
    })
    const units = Array.from({ length: Number(values.units) }, (_, index) => String(index))
    const tools = await buildNative()
    await setToolPaths()
    const broker = await startKafka({}, { ...BUSY, heapMb: HEAP_MB })
    const mesh = await startMesh({
      replicas: 1,
      envoyConcurrency: 1,
      modelServer: [tools.server, '-raw'],
      ...kafkaFlags(broker.bootstrapServers),
      pipelineGateways: 1,
      engines: 1,
      modelGateways: 1,
    })
    const client = startStreamClient(broker.bootstrapServers, mesh.folder, DEADLINE_MS)
    try {
      const asked = { execution: values.execution }
      return {
        ...(await loadAll(mesh, client, units, asked)),
        ...(await measureIdle(mesh, broker)),
        ...(await measureMore(mesh, client, asked)),
      }
    } catch (error) {
      process.stderr.write(`${mesh.logTails()}\n`)
      throw error
    } finally {
      await client.close()
      await mesh.stop()
      await broker.stop()
    }
  },
}

interface Asked {
  readonly execution: string
}

const aModel = (unit: string) => modelResource(modelOf(unit), { storageUri: IRIS_V1, replicas: 1 })

/** A runner that is not known is refused by the scheduler. */
const aPipeline = (unit: string, { execution }: Asked) =>
  ({
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Pipeline',
    metadata: { name: pipelineOf(unit) },
    spec: {
      steps: [{ name: modelOf(unit) }],
      output: { steps: [modelOf(unit)] },
      dataflow: { record: 'all', ...(execution === 'direct' ? {} : { execution }) },
    },
  }) as PipelineResource

async function loadAll(mesh: TestMesh, client: StreamClient, units: readonly string[], asked: Asked) {
  const startedMs = performance.now()
  const seconds = () => (performance.now() - startedMs) / 1_000
  const told = async (what: string, work: Promise<void>) => {
    await work
    say(`${what} after ${seconds().toFixed(1)} s`)
  }
  const apply = async (): Promise<void> => {
    await eachOf(units, (unit) => mesh.admin.apply(aModel(unit)))
    await eachOf(units, (unit) => mesh.admin.apply(aPipeline(unit, asked)))
  }
  await Promise.all([
    told('models available', untilAll(mesh, 'Model', 'ModelAvailable', units.map(modelOf))),
    told('pipelines ready', untilAll(mesh, 'Pipeline', 'PipelineReady', units.map(pipelineOf))),
    told(`${String(units.length)} models and pipelines accepted`, apply()),
  ])
  const ready = seconds()
  const ways = units.flatMap((unit) => [through('model', modelOf(unit)), through('pipeline', pipelineOf(unit))])
  await client.watch(ways.map(({ to }) => to))
  await Promise.all(ways.map((way) => client.send(way)))
  say(`each has answered a record after ${seconds().toFixed(1)} s`)
  return { load_s: ready, answered_s: seconds() }
}

async function untilAll(mesh: TestMesh, kind: 'Model' | 'Pipeline', state: string, names: readonly string[]) {
  const left = new Set(names)
  for await (const event of mesh.admin.watch(kind, '', AbortSignal.timeout(DEADLINE_MS))) {
    if (event.kind !== 'state') continue
    const { metadata, status } = event.resource
    if (status?.state === state) left.delete(metadata.name)
    if (left.size === 0) return
  }
  throw new ServingError('LOAD_TIMEOUT', `${String(left.size)} are not ${state}, as ${[...left][0] ?? ''}`)
}

async function measureIdle(mesh: TestMesh, broker: TestKafka): Promise<Readonly<Record<string, number>>> {
  const pids = Object.entries({ ...PROCESSES, kafka: '' }).map(
    ([key, name]) => [key, name === '' ? broker.pid : mesh.pid(name)] as const,
  )
  const before = pids.map(([, pid]) => cpuSeconds(pid))
  await new Promise((done) => setTimeout(done, IDLE_MS))
  const cores = pids.map(([, pid], index) => (1_000 * (cpuSeconds(pid) - (before[index] ?? 0))) / IDLE_MS)
  const told = pids.map(([key], index) => `${key} ${(cores[index] ?? Number.NaN).toFixed(3)}`)
  say(`idle cores: ${told.join(', ')}`)
  const [engine = Number.NaN, modelGateway = Number.NaN] = cores
  return {
    idle_cores: engine + modelGateway,
    ...Object.fromEntries(pids.map(([key], index) => [`${key}_idle_cores`, cores[index] ?? Number.NaN])),
    ...Object.fromEntries(Object.entries(PROCESSES).map(([key, name]) => [`${key}_mb`, residentMb(mesh.pid(name))])),
  }
}

/** From sending the applies to the first result, while another pipeline is fed all the time. */
async function measureMore(mesh: TestMesh, client: StreamClient, asked: Asked) {
  const steady = through('pipeline', pipelineOf(STEADY))
  const alone = await client.load(steady, { underWay: 1, until: forSeconds(ALONE_SECONDS) })
  let isOver = false
  const during = client.load(steady, { underWay: 1, until: () => isOver })
  const took: number[] = []
  for (let index = 0; index < MORE; index += 1) {
    const unit = `more-${String(index)}`
    const way = through('pipeline', pipelineOf(unit))
    const sentMs = performance.now()
    await mesh.admin.apply(aModel(unit))
    await untilAvailable(mesh.admin, modelOf(unit))
    await mesh.admin.apply(aPipeline(unit, asked))
    await waitFor(mesh.admin, { kind: 'Pipeline', name: pipelineOf(unit) }, 'available', DEADLINE_MS)
    await client.watch([way.to])
    await client.send(way)
    took.push(performance.now() - sentMs)
  }
  isOver = true
  const { p50Ms, p99Ms, maxMs } = await during
  say(`one more: ${took.map((ms) => ms.toFixed(0)).join(' ')} ms`)
  return {
    one_more_p50_ms: median(took),
    one_more_max_ms: Math.max(...took),
    steady_alone_p50_ms: alone.p50Ms,
    steady_alone_p99_ms: alone.p99Ms,
    steady_alone_max_ms: alone.maxMs,
    steady_during_p50_ms: p50Ms,
    steady_during_p99_ms: p99Ms,
    steady_during_max_ms: maxMs,
  }
}
