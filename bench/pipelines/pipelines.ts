/**
 * What a pipeline costs over its models: latency at one connection, throughput at sixteen, CPU. Against one model through Envoy and
 * against the same calls made one after the other by the same client ("by hand"). Rounds of all contenders are interleaved, so
 * that the machine's moods meet them alike; figures are ratios of medians within this run.
 */
import { parseArgs } from 'node:util'
import { startKafka } from '../../test/support/kafka.ts'
import type { TestMesh } from '../../test/support/mesh.ts'
import type { Bench } from '../main.ts'
import { cpuSeconds } from '../support/cpu.ts'
import { buildNative, type LoadRound, type NativeTools, runLoad } from '../support/native.ts'
import { median } from '../support/statistics.ts'
import { MODEL, openArena, pipelineName, type Shape, SHAPES, type Wait, WAITS } from './arena.ts'

const MANY = 16
/** Node compiles what it has run some thousand times: before that a request costs several times as much. */
const WARM_UP_SECONDS = 2
const LOAD_CORE = 1
/** Whose CPU is told. */
const PROCESSES = ['envoy-0', 'pipeline-gateway-0', 'embedded-0'] as const
type ProcessName = (typeof PROCESSES)[number]

interface Contender {
  readonly name: string
  readonly model: string
  /** Calls that count as one request. */
  readonly calls: number
}
interface Round extends LoadRound {
  readonly contender: string
  readonly connections: number
  /** Milliseconds per request. */
  readonly cpuMs: Readonly<Record<ProcessName, number>>
}

const ONE_MODEL: Contender = { name: 'model', model: MODEL, calls: 1 }
const BY_HAND: Contender = { name: 'hand3', model: MODEL, calls: 3 }
const pipelineContenders = (waits: readonly Wait[]): readonly Contender[] =>
  waits.flatMap((wait) =>
    SHAPES.map((shape) => ({
      name: pipelineName(shape, wait),
      model: `${pipelineName(shape, wait)}.pipeline`,
      calls: 1,
    })),
  )

export const pipelines: Bench = {
  summary: 'latency, throughput and CPU of pipelines over their models [--rounds 5] [--seconds 2] [--without-kafka]',
  run: async (argv) => {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '2' },
        'without-kafka': { type: 'boolean', default: false },
      },
    })
    const withKafka = !values['without-kafka']
    const tools = await buildNative()
    const kafka = withKafka ? await startKafka() : undefined
    try {
      const mesh = await openArena(tools, kafka?.bootstrapServers)
      try {
        const rounds = await measure(
          tools,
          mesh,
          withKafka ? WAITS : ['none'],
          Number(values.rounds),
          Number(values.seconds),
        )
        return toFigures(rounds, withKafka ? 'input' : 'none')
      } finally {
        await mesh.stop()
      }
    } finally {
      await kafka?.stop()
    }
  },
}

async function measure(
  tools: NativeTools,
  mesh: TestMesh,
  waits: readonly Wait[],
  rounds: number,
  seconds: number,
): Promise<readonly Round[]> {
  const contenders = [ONE_MODEL, BY_HAND, ...pipelineContenders(waits)]
  const measured: Round[] = []
  for (const contender of contenders) await oneRound(tools, mesh, contender, MANY, WARM_UP_SECONDS)
  for (const connections of [1, MANY]) {
    for (let round = 0; round < rounds; round += 1)
      for (const contender of contenders) measured.push(await oneRound(tools, mesh, contender, connections, seconds))
    for (const { name } of contenders)
      describe(measured.filter((one) => one.contender === name && one.connections === connections))
  }
  return measured
}

async function oneRound(
  tools: NativeTools,
  mesh: TestMesh,
  { name, model, calls }: Contender,
  connections: number,
  seconds: number,
): Promise<Round> {
  const used = () => PROCESSES.map((process) => cpuSeconds(mesh.pid(process)))
  const before = used()
  const load = await runLoad(tools, LOAD_CORE, {
    protocol: 'rest',
    address: mesh.ingress,
    connections,
    seconds,
    model,
    calls,
  })
  const after = used()
  const cpuMs = Object.fromEntries(
    PROCESSES.map((process, index) => [
      process,
      (1_000 * ((after[index] ?? 0) - (before[index] ?? 0))) / load.requests,
    ]),
  ) as Round['cpuMs']
  return { ...load, contender: name, connections, cpuMs }
}

const rate = ({ requests, seconds }: Round): number => requests / seconds

function describe(rounds: readonly Round[]): void {
  const cpu = PROCESSES.map((process) => `${process} ${median(rounds.map(({ cpuMs }) => cpuMs[process])).toFixed(3)}`)
  process.stderr.write(
    `  x${String(rounds[0]?.connections ?? 0).padEnd(3)} ${(rounds[0]?.contender ?? '').padEnd(14)}` +
      ` p50 ${(median(rounds.map(({ p50Us }) => p50Us)) / 1_000).toFixed(3)} ms` +
      `  p99 ${(median(rounds.map(({ p99Us }) => p99Us)) / 1_000).toFixed(3)} ms` +
      ` ${median(rounds.map(rate)).toFixed(0).padStart(7)} requests/s  CPU ms/request: ${cpu.join(', ')}\n`,
  )
}

function toFigures(rounds: readonly Round[], wait: Wait): Readonly<Record<string, number>> {
  const of = (contender: string, connections: number, value: (round: Round) => number): number =>
    median(rounds.filter((one) => one.contender === contender && one.connections === connections).map(value))
  const p50 = (contender: string) => of(contender, 1, ({ p50Us }) => p50Us)
  const ratio = (shape: Shape) => p50(pipelineName(shape, wait)) / p50(ONE_MODEL.name)
  const share = (shape: Shape) => of(pipelineName(shape, wait), MANY, rate) / of(ONE_MODEL.name, MANY, rate)
  const cpu = ({ cpuMs }: Round) => PROCESSES.reduce((sum, process) => sum + cpuMs[process], 0)
  return {
    one_step_ratio: ratio('one'),
    chain3_ratio: ratio('chain3'),
    join2_ratio: ratio('join2'),
    one_step_share: share('one'),
    chain3_share: share('chain3'),
    chain3_over_hand: p50(pipelineName('chain3', wait)) / p50(BY_HAND.name),
    chain3_cpu_ms: of(pipelineName('chain3', wait), MANY, cpu),
  }
}
