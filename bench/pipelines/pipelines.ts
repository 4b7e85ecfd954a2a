/**
 * What a pipeline costs over its models: latency at one connection, throughput at sixteen, CPU. Against one model through Envoy and
 * against the same calls made one after the other by the same client ("by hand"). Rounds of all contenders are interleaved, so
 * that the machine's moods meet them alike; figures are ratios of medians within this run. The main figures are a native client's,
 * which adds next to nothing to what it measures; the same by a Node client, whose own time is in every p50, end in `_node_client`.
 */
import { parseArgs } from 'node:util'
import { BUSY, startKafkaCluster } from '../../test/support/kafka.ts'
import type { Bench } from '../main.ts'
import { buildNative, type NativeTools } from '../support/native.ts'
import { say } from '../support/progress.ts'
import { median } from '../support/statistics.ts'
import { openArena, pipelineName, pipelinesWith, type Shape, type Wait, WAITS } from './arena.ts'
import { startFloor } from './floor.ts'
import { startAckProbe } from './produce-ack.ts'
import {
  type Arena,
  BY_HAND,
  contendersOf,
  type Length,
  MANY,
  measure,
  ONE_MODEL,
  type ProcessName,
  rate,
  type Round,
  warmUp,
} from './rounds.ts'

/** The contender that is no pipeline. */
const FLOOR = 'floor'

type Figures = Readonly<Record<string, number>>

export const pipelines: Bench = {
  summary:
    'latency, throughput and CPU of pipelines over their models [--rounds 5] [--seconds 2] [--brokers 1,3] [--without-kafka]',
  run: async (argv) => {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '2' },
        brokers: { type: 'string', default: '1,3' },
        'without-kafka': { type: 'boolean', default: false },
      },
    })
    const length = { rounds: Number(values.rounds), seconds: Number(values.seconds) }
    const tools = await buildNative()
    if (values['without-kafka']) return await measureArena(tools, 0, ['none'], length)
    const [first = 1, ...more] = values.brokers.split(',').map(Number)
    let figures = await measureArena(tools, first, WAITS, length)
    for (const brokers of more) {
      const others = Object.entries(await measureArena(tools, brokers, ['input'], length))
      const named = others.map(([key, value]) => [`${key}_${String(brokers)}_brokers`, value] as const)
      figures = { ...figures, ...Object.fromEntries(named) }
    }
    return figures
  },
}

/** One Millrace and so many brokers, as many of which have each record. */
async function measureArena(
  tools: NativeTools,
  brokers: number,
  waits: readonly Wait[],
  length: Length,
): Promise<Figures> {
  const wait = waits.includes('input') ? 'input' : 'none'
  const kafka = brokers === 0 ? undefined : await startKafkaCluster(brokers, {}, BUSY)
  try {
    const mesh = await openArena(tools, kafka?.bootstrapServers, pipelinesWith(kafka === undefined ? ['none'] : WAITS))
    try {
      say(kafka === undefined ? 'without Kafka' : `brokers and copies of a record: ${String(brokers)}`)
      const arena = { tools, mesh, brokers: kafka?.brokers ?? [] }
      const contenders = contendersOf(waits)
      await warmUp(arena, contenders)
      const native = await measure(arena, 'native', contenders, length)
      const acks = kafka === undefined ? {} : await measureAcks(kafka.bootstrapServers, brokers, length)
      const node = await measure(arena, 'node', contendersOf([wait]), length)
      const floor = kafka === undefined ? {} : await measureFloor(arena, kafka.bootstrapServers, length)
      const named = Object.entries(toFigures(node, wait)).map(([key, value]) => [`${key}_node_client`, value] as const)
      const chain3 = native.filter(({ contender }) => contender === pipelineName('chain3', wait))
      return {
        ...toFigures(native, wait),
        chain3_cpu_ms: cpuOf(chain3, ['envoy', 'gateway', 'server']),
        ...(kafka === undefined ? {} : { chain3_kafka_cpu_ms: cpuOf(chain3, ['kafka']) }),
        ...acks,
        ...floor,
        ...Object.fromEntries(named),
      }
    } finally {
      await mesh.stop()
    }
  } finally {
    await kafka?.stop()
  }
}

async function measureAcks(bootstrapServers: string, copies: number, { rounds }: Length): Promise<Figures> {
  const probe = await startAckProbe(bootstrapServers, copies)
  try {
    await probe.measure() // while Node compiles it
    const took: number[] = []
    for (let round = 0; round < rounds; round += 1) took.push(await probe.measure())
    return { produce_ack_ms: median(took) }
  } finally {
    await probe.close()
  }
}

/** One step, with a gateway that does nothing but what it must: last, as the mesh has no gateway of its own any more. */
async function measureFloor(arena: Arena, bootstrapServers: string, length: Length): Promise<Figures> {
  const contenders = [ONE_MODEL, { name: FLOOR, model: `${pipelineName('one', 'input')}.pipeline`, calls: 1 }]
  const floor = await startFloor(arena.mesh, bootstrapServers, pipelineName('one', 'input'))
  try {
    const atFloor = { ...arena, gatewayPid: floor.pid }
    await warmUp(atFloor, contenders)
    const rounds = await measure(atFloor, 'native', contenders, length)
    return {
      floor_one_step_ratio: p50Of(rounds, FLOOR) / p50Of(rounds, ONE_MODEL.name),
      floor_one_step_share: rateOf(rounds, FLOOR) / rateOf(rounds, ONE_MODEL.name),
    }
  } finally {
    await floor.stop()
  }
}

/** At sixteen connections. */
const cpuOf = (rounds: readonly Round[], processes: readonly ProcessName[]): number =>
  median(
    rounds
      .filter(({ connections }) => connections === MANY)
      .map(({ cpuMs }) => processes.reduce((sum, process) => sum + cpuMs[process], 0)),
  )

const medianOf = (
  rounds: readonly Round[],
  contender: string,
  connections: number,
  value: (round: Round) => number,
): number => median(rounds.filter((one) => one.contender === contender && one.connections === connections).map(value))
const p50Of = (rounds: readonly Round[], contender: string) => medianOf(rounds, contender, 1, ({ p50Us }) => p50Us)
const rateOf = (rounds: readonly Round[], contender: string) => medianOf(rounds, contender, MANY, rate)

function toFigures(rounds: readonly Round[], wait: Wait): Figures {
  const p50 = (contender: string) => p50Of(rounds, contender)
  const ratio = (shape: Shape) => p50(pipelineName(shape, wait)) / p50(ONE_MODEL.name)
  const share = (shape: Shape) => rateOf(rounds, pipelineName(shape, wait)) / rateOf(rounds, ONE_MODEL.name)
  return {
    one_step_ratio: ratio('one'),
    chain3_ratio: ratio('chain3'),
    join2_ratio: ratio('join2'),
    one_step_share: share('one'),
    chain3_share: share('chain3'),
    chain3_over_hand: p50(pipelineName('chain3', wait)) / p50(BY_HAND.name),
    model_p50_ms: p50(ONE_MODEL.name) / 1_000,
  }
}
