/** `npm run bench -- NAME [--json]`; figures that compare, compare with a baseline measured in the same run. */
import { toServingError } from '../kit/errors.ts'

export interface Bench {
  readonly summary: string
  /** Options after the name, without `--json`. Returns the figures by key; throws when one could not be measured. */
  run(argv: readonly string[]): Promise<Readonly<Record<string, number>>>
}

const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  overhead: async () => (await import('./overhead/overhead.ts')).overhead,
  scale: async () => (await import('./scale/scale.ts')).scale,
  pipelines: async () => (await import('./pipelines/pipelines.ts')).pipelines,
  'many-pipelines': async () => (await import('./pipelines/many.ts')).manyPipelines,
  stream: async () => (await import('./stream/stream.ts')).stream,
  'many-streams': async () => (await import('./stream/many.ts')).manyStreams,
  consume: async () => (await import('./consume/consume.ts')).consume,
  experiments: async () => (await import('./experiments/experiments.ts')).experiments,
  restart: async () => (await import('./restart/restart.ts')).restart,
}

async function main(argv: readonly string[]): Promise<void> {
  const json = argv.includes('--json')
  const [name, ...rest] = argv.filter((argument) => argument !== '--json')
  const load = name === undefined ? undefined : BENCHES[name]
  if (!load) {
    const list = await Promise.all(
      Object.entries(BENCHES).map(async ([key, bench]) => `  ${key}  ${(await bench()).summary}`),
    )
    process.stderr.write(`Usage: npm run bench -- NAME [--json] [options]\n\n${list.join('\n')}\n`)
    process.exitCode = name === undefined || name === '--help' ? 0 : 2
    return
  }
  const figures = await (await load()).run(rest)
  for (const [key, value] of Object.entries(figures)) process.stdout.write(`${key.padEnd(36)} ${value.toFixed(3)}\n`)
  const missing = Object.entries(figures).filter(([, value]) => !Number.isFinite(value))
  if (json) process.stdout.write(`${JSON.stringify(figures)}\n`)
  if (missing.length > 0) throw new Error(`not measured: ${missing.map(([key]) => key).join(', ')}`)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`bench failed: ${toServingError(error).message}\n`)
  process.exitCode = 1
}
