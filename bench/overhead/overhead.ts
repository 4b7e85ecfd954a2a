/**
 * What Millrace costs beside a plain Envoy: CPU per request of everything on the path but the model server, and
 * throughput. Envoy has one worker on one core; the instant server and the load have the other. Rounds of all contenders
 * are interleaved, so that the machine's moods meet them alike; figures are ratios of medians within this run.
 */
import { parseArgs } from 'node:util'
import type { Bench } from '../main.ts'
import { cpuSeconds } from '../support/cpu.ts'
import { type Arena, type Contender, openArena } from './mesh.ts'
import { buildNative, type LoadRound, type NativeTools, pin, runLoad } from '../support/native.ts'
import { median, spread } from '../support/statistics.ts'

const ENVOY_CORE = 0
const LOAD_CORE = 1
const PROTOCOLS = ['rest', 'grpc'] as const
const CONNECTIONS = [1, 32] as const
const WARM_UP_SECONDS = 1

type Protocol = (typeof PROTOCOLS)[number]
interface Round extends LoadRound {
  readonly contender: Contender['name']
  readonly protocol: Protocol
  readonly connections: number
  /** CPU seconds per request of what is charged; NaN of nothing. */
  readonly cpuPerRequest: number
}

export const overhead: Bench = {
  summary: 'CPU per request and throughput over a plain Envoy with one static route [--rounds 7] [--seconds 2]',
  run: async (argv) => {
    const { values } = parseArgs({
      args: [...argv],
      options: { rounds: { type: 'string', default: '7' }, seconds: { type: 'string', default: '2' } },
    })
    const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)]
    const tools = await buildNative()
    const header = await measure(tools, 'header', rounds, seconds)
    const message = await measure(tools, 'message', rounds, seconds)
    return {
      ...ratios('rest', header, ''),
      ...ratios('grpc', header, ''),
      ...cpuRatio('rest', header, 'agent', '_agent'),
      ...cpuRatio('grpc', header, 'agent', '_agent'),
      ...ratios('rest', message, '_rename'),
      ...ratios('grpc', message, '_rename'),
    }
  },
}

async function measure(
  tools: NativeTools,
  nameSource: 'header' | 'message',
  rounds: number,
  seconds: number,
): Promise<readonly Round[]> {
  process.stderr.write(`servers that take the internal name from the ${nameSource}\n`)
  const arena = await openArena(tools, nameSource)
  try {
    await pinAll(arena)
    const measured: Round[] = []
    for (const protocol of PROTOCOLS)
      for (const connections of CONNECTIONS) {
        for (const contender of arena.contenders)
          await oneRound(tools, contender, protocol, connections, WARM_UP_SECONDS)
        for (let round = 0; round < rounds; round += 1)
          for (const contender of arena.contenders)
            measured.push(await oneRound(tools, contender, protocol, connections, seconds))
        describe(measured.filter((round) => round.protocol === protocol && round.connections === connections))
      }
    return measured
  } finally {
    await arena.stop()
  }
}

async function pinAll(arena: Arena): Promise<void> {
  for (const pid of arena.envoyPids) await pin(pid, ENVOY_CORE)
  for (const pid of arena.otherPids) await pin(pid, LOAD_CORE)
}

async function oneRound(
  tools: NativeTools,
  contender: Contender,
  protocol: Protocol,
  connections: number,
  seconds: number,
): Promise<Round> {
  const { model, pids } = contender
  const used = (): number => (pids.length === 0 ? Number.NaN : pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0))
  const before = used()
  const load = await runLoad(tools, LOAD_CORE, { protocol, address: contender[protocol], connections, seconds, model })
  const cpuPerRequest = (used() - before) / load.requests
  return { ...load, contender: contender.name, protocol, connections, cpuPerRequest }
}

const throughput = (round: Round): number => round.requests / round.seconds

function describe(rounds: readonly Round[]): void {
  for (const name of ['direct', 'plain', 'millrace', 'agent'] as const) {
    const mine = rounds.filter((round) => round.contender === name)
    const rates = mine.map(throughput)
    const cpu = mine.map((round) => round.cpuPerRequest * 1e6)
    process.stderr.write(
      `  ${mine[0]?.protocol ?? ''} x${String(mine[0]?.connections ?? 0).padEnd(3)} ${name.padEnd(9)}` +
        ` ${median(rates).toFixed(0).padStart(7)} requests/s ±${(spread(rates) * 100).toFixed(0)} %` +
        `  p50 ${median(mine.map((round) => round.p50Us)).toFixed(0)} µs  p99 ${median(mine.map((round) => round.p99Us)).toFixed(0)} µs` +
        (name === 'direct'
          ? '\n'
          : `  CPU ${median(cpu).toFixed(1)} µs/request ±${(spread(cpu) * 100).toFixed(0)} %\n`),
    )
  }
}

/** Each the worse of the two numbers of connections. */
function ratios(protocol: Protocol, rounds: readonly Round[], suffix: string): Record<string, number> {
  return {
    ...cpuRatio(protocol, rounds, 'millrace', suffix),
    [`${protocol}_throughput_ratio${suffix}`]: Math.min(...overPlain(protocol, rounds, 'millrace', throughput)),
  }
}

function cpuRatio(
  protocol: Protocol,
  rounds: readonly Round[],
  contender: Contender['name'],
  suffix: string,
): Record<string, number> {
  const values = overPlain(protocol, rounds, contender, (round) => round.cpuPerRequest)
  return { [`${protocol}_cpu_ratio${suffix}`]: Math.max(...values) }
}

/** Of medians, for each number of connections. */
function overPlain(
  protocol: Protocol,
  rounds: readonly Round[],
  contender: Contender['name'],
  value: (round: Round) => number,
): number[] {
  const of = (name: Contender['name'], connections: number): number =>
    median(
      rounds.filter((r) => r.contender === name && r.protocol === protocol && r.connections === connections).map(value),
    )
  return CONNECTIONS.map((connections) => of(contender, connections) / of('plain', connections))
}
