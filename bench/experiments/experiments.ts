/**
 * What experiments cost: others, when 1,000 stand (CPU of a request that none concerns); whoever changes one (from the call of the
 * API until no connection to any Envoy gets the old candidate); and the primary, when everything is mirrored (its p50 at
 * a steady rate). Contenders are interleaved; figures are ratios of medians within this run, and milliseconds.
 */
import { parseArgs } from 'node:util'
import { applyActive, experimentResource } from '../../test/support/experiments.ts'
import { type KeptConnections, keepConnections } from '../../test/support/kept-connections.ts'
import type { Bench } from '../main.ts'
import { buildNative, type NativeTools, runLoad } from '../support/native.ts'
import { say } from '../support/progress.ts'
import { median, percentile, spread } from '../support/statistics.ts'
import { type Arena, envoyCpu, ENVOYS, LOAD_CORE, openArena, specOf } from './arena.ts'

const PROTOCOLS = ['rest', 'grpc'] as const
const BUSY_CONNECTIONS = 32
const MIRROR_RATE = 500
const FOLLOWERS = ENVOYS * 4
const FOLLOW_DEADLINE_MS = 10_000

interface Effort {
  readonly rounds: number
  readonly seconds: number
}

export const experiments: Bench = {
  summary:
    'what 1,000 experiments cost others, one more change, and a mirror [--experiments 1000] [--rounds 7] [--seconds 2] [--changes 50]',
  run: async (argv) => {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        experiments: { type: 'string', default: '1000' },
        rounds: { type: 'string', default: '7' },
        seconds: { type: 'string', default: '2' },
        changes: { type: 'string', default: '50' },
      },
    })
    const effort = { rounds: Number(values.rounds), seconds: Number(values.seconds) }
    const tools = await buildNative()
    const arena = await openArena(tools, Number(values.experiments))
    try {
      return {
        cpu_ratio_1000: await cpuRatio(tools, arena, effort),
        ...(await applyTimes(arena, Number(values.changes))),
        mirror_p50_ratio: await mirrorRatio(tools, arena, effort),
      }
    } finally {
      await arena.stop()
    }
  },
}

/** Of a request that no experiment concerns; the worse of the two protocols. */
async function cpuRatio(tools: NativeTools, { none, many }: Arena, { rounds, seconds }: Effort): Promise<number> {
  const ratios: number[] = []
  for (const protocol of PROTOCOLS) {
    const used = new Map<typeof none, number[]>([
      [none, []],
      [many, []],
    ])
    for (let round = 0; round <= rounds; round += 1)
      for (const [mesh, perRequest] of used) {
        const before = envoyCpu(mesh)
        const options = { protocol, address: mesh.ingress, connections: BUSY_CONNECTIONS, seconds, model: 'other' }
        const { requests } = await runLoad(tools, LOAD_CORE, options)
        if (round > 0) perRequest.push((envoyCpu(mesh) - before) / requests) // the first one warms up
      }
    const [without = Number.NaN, withMany = Number.NaN] = [...used.values()].map(median)
    const spreads = [...used.values()].map((values) => `±${(spread(values) * 100).toFixed(0)} %`)
    say(`${protocol}: ${(without * 1e6).toFixed(1)} µs a request without experiments, ${(withMany * 1e6).toFixed(1)} µs with many (${spreads.join(', ')})`) // prettier-ignore
    ratios.push(withMany / without)
  }
  return Math.max(...ratios)
}

/** From the call to the moment when every connection, of all Envoys, has followed. */
async function applyTimes({ many, standing }: Arena, changes: number): Promise<Record<string, number>> {
  const [name = ''] = standing
  const connections = await keepConnections(Number(many.ingress.split(':')[1]), FOLLOWERS)
  try {
    const took: number[] = []
    for (let change = 0; change <= changes; change += 1) {
      const canaryWeight = change % 2 === 0 ? 100 : 0
      const startedMs = performance.now()
      const [followedMs] = await Promise.all([
        untilAllFollow(connections, `${name}.experiment`, canaryWeight === 100 ? ':canary_1:' : ':base_1:'),
        many.admin.apply(experimentResource(name, specOf(canaryWeight))),
      ])
      if (change > 0) took.push(followedMs - startedMs) // the first one changes from 10 %, which some meet at once
    }
    say(
      `one experiment of ${String(standing.length)} changed, and followed after ${took.map((ms) => ms.toFixed(0)).join(' ')} ms`,
    )
    return { apply_p50_ms: median(took), apply_p99_ms: percentile(took, 0.99) }
  } finally {
    connections.close()
  }
}

async function untilAllFollow(connections: KeptConnections, model: string, route: string): Promise<number> {
  const deadline = AbortSignal.timeout(FOLLOW_DEADLINE_MS)
  const body = Buffer.from('{"inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}')
  const ask = { path: `/v2/models/${model}/infer`, headers: { 'content-type': 'application/json' }, body }
  const follow = async (connection: number): Promise<number> => {
    while ((await connections.ask(connection, ask)).route !== route) deadline.throwIfAborted()
    return performance.now()
  }
  return Math.max(...(await Promise.all(Array.from({ length: connections.count }, (_, index) => follow(index)))))
}

/** The worse of the two protocols, at a rate that leaves the machine time: a busy one measures its cores, not the mirror. */
async function mirrorRatio(tools: NativeTools, { none }: Arena, { rounds, seconds }: Effort): Promise<number> {
  const candidates = [{ name: 'base', weight: 1 }]
  await applyActive(none.admin, 'mirrored', { candidates, mirror: { name: 'shadow', percent: 100 } })
  await applyActive(none.admin, 'unmirrored', { candidates })
  const ratios: number[] = []
  for (const protocol of PROTOCOLS) {
    const p50s = new Map<string, number[]>([
      ['unmirrored.experiment', []],
      ['mirrored.experiment', []],
    ])
    for (let round = 0; round <= rounds; round += 1)
      for (const [model, values] of p50s) {
        const options = { protocol, address: none.ingress, connections: 1, seconds, model, rate: MIRROR_RATE }
        const { p50Us } = await runLoad(tools, LOAD_CORE, options)
        if (round > 0) values.push(p50Us)
      }
    const [plain = Number.NaN, mirrored = Number.NaN] = [...p50s.values()].map(median)
    say(`${protocol}: p50 ${plain.toFixed(0)} µs, mirrored ${mirrored.toFixed(0)} µs`)
    ratios.push(mirrored / plain)
  }
  return Math.max(...ratios)
}
