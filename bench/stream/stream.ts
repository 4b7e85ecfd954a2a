/**
 * Pipelines and models as streams: from a record on an input topic to its result on the output topic, one at a time and many at
 * once, beside one hop of our own client: half the way through a process that only echoes (`hop_ms`). All ways take turns, so that the
 * machine's moods meet them alike; figures are medians of rounds.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { ServingError } from '../../kit/errors.ts'
import { BUSY, startKafka, type TestKafka } from '../../test/support/kafka.ts'
import { numberRequest, recoverOrphans } from '../../test/support/orphans.ts'
import type { TestMesh } from '../../test/support/mesh.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import type { TopicEnd } from '../../dataflow/journal/topics.ts'
import type { Bench } from '../main.ts'
import { type ArenaPipeline, MODEL, openArena, type Shape } from '../pipelines/arena.ts'
import { cpuSeconds } from '../support/cpu.ts'
import { buildNative } from '../support/native.ts'
import { say } from '../support/progress.ts'
import { startEcho } from './start-echo.ts'
import { median, percentile } from '../support/statistics.ts'
import {
  forSeconds,
  startStreamClient,
  type StreamClient,
  type StreamLoad,
  through,
  type Way,
} from './stream-client.ts'

const EXECUTIONS = ['direct', 'topics'] as const
type Execution = (typeof EXECUTIONS)[number]
const SHAPES: readonly Shape[] = ['one', 'chain3']
const MANY = 256
/** A process that has answered a few hundred calls is not yet as quick as it will be. */
const WARM_UP_CALLERS = 16
const WARM_UP_SECONDS = 3
const BODY = JSON.stringify({
  inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], data: [5.1, 3.5, 1.4, 0.2] }],
})
const ORPHANS = 10_000
const RESULT_MS = 60_000
const RECOVERY_MS = 300_000
const PROCESSES = ['engine-0', 'model-gateway-0', 'envoy-0', 'embedded-0'] as const

interface Contender {
  /** Of its figures. */
  readonly key: string
  readonly way: Way
}

interface Round extends StreamLoad {
  readonly key: string
  readonly underWay: number
  /** Milliseconds per record, by process. */
  readonly cpuMs: Readonly<Record<string, number>>
}

interface Length {
  readonly rounds: number
  readonly seconds: number
}

interface Arena {
  readonly mesh: TestMesh
  readonly broker: TestKafka
  readonly client: StreamClient
}

const HOP: TopicEnd = { kind: 'model', name: 'bench-hop', side: 'inputs' }
/** Through a process that echoes: two hops. */
const ECHO = through('model', 'bench-echo')

const pipelineName = (shape: Shape, execution: Execution): string => `${shape}-${execution}`
const RECOVERIES = ['error', 'rerun'] as const
const orphansOf = (recovery: (typeof RECOVERIES)[number]): string => `orphans-${recovery}`
const PIPELINES: readonly ArenaPipeline[] = [
  ...EXECUTIONS.flatMap((execution) =>
    SHAPES.map((shape) => ({
      name: pipelineName(shape, execution),
      shape,
      dataflow: { record: 'all' as const, execution },
    })),
  ),
  ...RECOVERIES.map((recovery) => ({
    name: orphansOf(recovery),
    shape: 'one' as const,
    dataflow: { record: 'all' as const, recovery },
  })),
]
/** `stream` is one step with the direct runner. */
const CONTENDERS: readonly Contender[] = [
  { key: 'echo', way: ECHO },
  { key: 'hop_one_process', way: { from: HOP, to: HOP } },
  { key: 'stream_model', way: through('model', MODEL) },
  ...EXECUTIONS.flatMap((execution) =>
    SHAPES.map((shape) => ({
      key: ['stream', ...(shape === 'one' ? [] : [shape]), ...(execution === 'direct' ? [] : [execution])].join('_'),
      way: through('pipeline', pipelineName(shape, execution)),
    })),
  ),
]

export const stream: Bench = {
  summary: 'records from input topics to output topics: models and pipelines [--rounds 3] [--seconds 2]',
  run: async (argv) => {
    const { values } = parseArgs({
      args: [...argv],
      options: { rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '2' } },
    })
    const length = { rounds: Number(values.rounds), seconds: Number(values.seconds) }
    const tools = await buildNative()
    const broker = await startKafka({}, BUSY)
    try {
      const mesh = await openArena(tools, broker.bootstrapServers, PIPELINES, { engines: 1, modelGateways: 1 })
      const client = startStreamClient(broker.bootstrapServers, mesh.folder, RESULT_MS)
      const folder = join(mesh.folder, 'echo')
      const endEcho = await startEcho({ bootstrapServers: broker.bootstrapServers, folder, ...ECHO })
      const arena = { mesh, broker, client }
      try {
        const figures = toFigures(await measure(arena, length))
        return { ...figures, ...(await recover(broker.bootstrapServers)) }
      } catch (error) {
        process.stderr.write(`${mesh.logTails()}\n`)
        throw error
      } finally {
        await endEcho()
        await client.close()
        await mesh.stop()
      }
    } finally {
      await broker.stop()
    }
  },
}

async function measure(arena: Arena, { rounds, seconds }: Length): Promise<Measured> {
  await arena.client.watch(CONTENDERS.map(({ way }) => way.to))
  for (const contender of CONTENDERS) await oneRound(arena, contender, MANY, WARM_UP_SECONDS)
  const measured: Round[] = []
  const calls = new Map<Execution, number[]>(EXECUTIONS.map((execution) => [execution, []]))
  for (const execution of EXECUTIONS)
    await Promise.all(Array.from({ length: WARM_UP_CALLERS }, () => callChain(arena, execution, WARM_UP_SECONDS)))
  for (let round = 0; round < rounds; round += 1)
    for (const [execution, took] of calls) took.push(await callChain(arena, execution, seconds))
  for (const underWay of [1, MANY]) {
    for (let round = 0; round < rounds; round += 1)
      for (const contender of CONTENDERS) measured.push(await oneRound(arena, contender, underWay, seconds))
    for (const { key } of CONTENDERS) describe(of(measured, key, underWay))
  }
  return { rounds: measured, calls }
}

interface Measured {
  readonly rounds: readonly Round[]
  /** Of a chain of three that is called through Envoy, one call at a time: p50 in milliseconds, by runner. */
  readonly calls: ReadonlyMap<Execution, readonly number[]>
}

/** From this process, as the records come from it; one call after the other. */
async function callChain({ mesh }: Arena, execution: Execution, seconds: number): Promise<number> {
  const pool = new Pool(`http://${mesh.ingress}`, { connections: 1 })
  const path = `/v2/models/${pipelineName('chain3', execution)}.pipeline/infer`
  const headers = { 'content-type': 'application/json' }
  const took: number[] = []
  try {
    for (const until = forSeconds(seconds); !until(performance.now());) {
      const sentMs = performance.now()
      const { statusCode, body } = await pool.request({ method: 'POST', path, headers, body: BODY })
      const text = await body.text()
      if (statusCode !== 200) throw new ServingError('PEER_FAILED', `${path}: ${String(statusCode)} ${text}`)
      took.push(performance.now() - sentMs)
    }
  } finally {
    await pool.close()
  }
  return percentile(took, 0.5)
}

/** Seconds until so many requests of a gateway that is gone have their ends: errors, or results where they are run again. */
async function recover(bootstrapServers: string): Promise<Readonly<Record<string, number>>> {
  const kafka = connectKafka(parseConnection('bench', { 'bootstrap.servers': bootstrapServers }), 'bench')
  const orphaned = { count: ORPHANS, request: numberRequest(1), deadlineMs: RECOVERY_MS }
  const figures: Record<string, number> = {}
  for (const recovery of RECOVERIES) {
    const { seconds, lost, others, twice } = await recoverOrphans(kafka, { ...orphaned, pipeline: orphansOf(recovery) })
    say(
      `${recovery}: ${String(lost)} errors, ${String(others)} results, ${String(twice)} twice, ${seconds.toFixed(1)} s`,
    )
    figures[recovery === 'rerun' ? 'recover_s' : 'recover_error_s'] = seconds
  }
  return figures
}

async function oneRound(
  { mesh, broker, client }: Arena,
  { key, way }: Contender,
  underWay: number,
  seconds: number,
): Promise<Round> {
  const pids = new Map([...PROCESSES.map((name) => [name, mesh.pid(name)] as const), ['kafka', broker.pid] as const])
  const used = () => [...pids].map(([name, pid]) => [name, cpuSeconds(pid)] as const)
  const before = new Map<string, number>(used())
  const load = await client.load(way, { underWay, until: forSeconds(seconds) })
  const cpuMs = used().map(
    ([name, after]) => [name, (1_000 * (after - (before.get(name) ?? 0))) / load.records] as const,
  )
  return { ...load, key, underWay, cpuMs: Object.fromEntries(cpuMs) }
}

const of = (rounds: readonly Round[], key: string, underWay: number): readonly Round[] =>
  rounds.filter((one) => one.key === key && one.underWay === underWay)
const rate = ({ records, seconds }: Round): number => records / seconds

function toFigures({ rounds, calls }: Measured): Readonly<Record<string, number>> {
  const figures: Record<string, number> = {}
  for (const { key } of CONTENDERS) {
    const alone = of(rounds, key, 1)
    figures[`${key}_p50_ms`] = median(alone.map(({ p50Ms }) => p50Ms))
    figures[`${key}_p99_ms`] = median(alone.map(({ p99Ms }) => p99Ms))
    figures[`${key}_rps`] = median(of(rounds, key, MANY).map(rate))
  }
  for (const [execution, took] of calls) figures[`chain3_${execution}_ms`] = median(took)
  const hopMs = (figures['echo_p50_ms'] ?? Number.NaN) / 2
  return { ...figures, hop_ms: hopMs, chain3_topics_over_hop: (figures['chain3_topics_ms'] ?? Number.NaN) / hopMs }
}

function describe(rounds: readonly Round[]): void {
  const { key = '', underWay = 0, cpuMs = {} } = rounds[0] ?? {}
  const names = Object.keys(cpuMs)
  const cpu = names.map((name) => `${name} ${median(rounds.map((one) => one.cpuMs[name] ?? Number.NaN)).toFixed(3)}`)
  process.stderr.write(
    `  x${String(underWay).padEnd(3)} ${key.padEnd(22)}` +
      ` p50 ${median(rounds.map(({ p50Ms }) => p50Ms)).toFixed(3)} ms` +
      `  p99 ${median(rounds.map(({ p99Ms }) => p99Ms)).toFixed(3)} ms` +
      ` ${median(rounds.map(rate)).toFixed(0).padStart(7)} records/s  CPU ms/record: ${cpu.join(', ')}\n`,
  )
}
