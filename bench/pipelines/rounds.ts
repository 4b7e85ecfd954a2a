/** Rounds of load on one arena: every contender in turn, so that the machine's moods meet them alike. */
import type { TestBroker } from '../../test/support/kafka.ts'
import type { TestMesh } from '../../test/support/mesh.ts'
import { cpuSeconds } from '../support/cpu.ts'
import { type LoadRound, type NativeTools, runLoad, runNodeLoad } from '../support/native.ts'
import { median } from '../support/statistics.ts'
import { MODEL, pipelineName, SHAPES, type Wait } from './arena.ts'

export const MANY = 16
/** Node compiles what it has run some thousand times: before that a request costs several times as much. */
const WARM_UP_SECONDS = 2
const LOAD_CORE = 1
/** Whose CPU is told. */
const PROCESSES = ['envoy', 'gateway', 'server', 'kafka'] as const
export type ProcessName = (typeof PROCESSES)[number]

/** Who asks: the native load generator, or a Node process. */
type Client = 'native' | 'node'

export interface Contender {
  readonly name: string
  readonly model: string
  /** Calls that count as one request. */
  readonly calls: number
}

export interface Round extends LoadRound {
  readonly contender: string
  readonly client: Client
  readonly connections: number
  /** Milliseconds per request; of a Node client's round too much, as its warming up counts. */
  readonly cpuMs: Readonly<Record<ProcessName, number>>
}

export interface Arena {
  readonly tools: NativeTools
  readonly mesh: TestMesh
  readonly brokers: readonly TestBroker[]
  /** Default: the mesh's own. */
  readonly gatewayPid?: number
}

export const ONE_MODEL: Contender = { name: 'model', model: MODEL, calls: 1 }
export const BY_HAND: Contender = { name: 'hand3', model: MODEL, calls: 3 }

export const contendersOf = (waits: readonly Wait[]): readonly Contender[] => [
  ONE_MODEL,
  BY_HAND,
  ...waits.flatMap((wait) =>
    SHAPES.map((shape) => ({
      name: pipelineName(shape, wait),
      model: `${pipelineName(shape, wait)}.pipeline`,
      calls: 1,
    })),
  ),
]

export interface Length {
  readonly rounds: number
  readonly seconds: number
}

export async function warmUp(arena: Arena, contenders: readonly Contender[]): Promise<void> {
  for (const contender of contenders) await oneRound(arena, 'native', contender, MANY, WARM_UP_SECONDS)
}

export async function measure(
  arena: Arena,
  client: Client,
  contenders: readonly Contender[],
  { rounds, seconds }: Length,
): Promise<readonly Round[]> {
  const measured: Round[] = []
  for (const connections of [1, MANY]) {
    for (let round = 0; round < rounds; round += 1)
      for (const contender of contenders) measured.push(await oneRound(arena, client, contender, connections, seconds))
    for (const { name } of contenders)
      describe(measured.filter((one) => one.contender === name && one.connections === connections))
  }
  return measured
}

async function oneRound(
  { tools, mesh, brokers, gatewayPid }: Arena,
  client: Client,
  { name, model, calls }: Contender,
  connections: number,
  seconds: number,
): Promise<Round> {
  const pids: Readonly<Record<ProcessName, readonly number[]>> = {
    envoy: [mesh.pid('envoy-0')],
    gateway: [gatewayPid ?? mesh.pid('pipeline-gateway-0')],
    server: [mesh.pid('embedded-0')],
    kafka: brokers.map(({ pid }) => pid),
  }
  const used = () => PROCESSES.map((process) => pids[process].reduce((sum, pid) => sum + cpuSeconds(pid), 0))
  const before = used()
  const options = { address: mesh.ingress, connections, seconds, model, calls }
  const load =
    client === 'native'
      ? await runLoad(tools, LOAD_CORE, { protocol: 'rest', ...options })
      : await runNodeLoad(LOAD_CORE, options)
  const after = used()
  const cpuMs = Object.fromEntries(
    PROCESSES.map((process, index) => [
      process,
      (1_000 * ((after[index] ?? 0) - (before[index] ?? 0))) / load.requests,
    ]),
  ) as Round['cpuMs']
  return { ...load, contender: name, client, connections, cpuMs }
}

export const rate = ({ requests, seconds }: Round): number => requests / seconds

function describe(rounds: readonly Round[]): void {
  const { client = '', connections = 0, contender = '' } = rounds[0] ?? {}
  const cpu = PROCESSES.map((process) => `${process} ${median(rounds.map(({ cpuMs }) => cpuMs[process])).toFixed(3)}`)
  process.stderr.write(
    `  ${client.padEnd(6)} x${String(connections).padEnd(3)} ${contender.padEnd(14)}` +
      ` p50 ${(median(rounds.map(({ p50Us }) => p50Us)) / 1_000).toFixed(3)} ms` +
      `  p99 ${(median(rounds.map(({ p99Us }) => p99Us)) / 1_000).toFixed(3)} ms` +
      ` ${median(rounds.map(rate)).toFixed(0).padStart(7)} requests/s` +
      (client === 'native' ? `  CPU ms/request: ${cpu.join(', ')}\n` : '\n'),
  )
}
