/**
 * `npm run soak -- --pipelines`: a pipeline with `wait: input` under load while gateways and brokers are killed; a broker stays away
 * for ten seconds. Keys are counted in and out.
 */
import { pause } from '../../kit/backoff.ts'
import { type KeptCounts, type KeptPipeline, startKeptLoad, startKeptPipeline } from '../support/kept-pipeline.ts'

const BROKER_AWAY_MS = 10_000
/** Parts of the load, with a kill between each two. */
const PARTS = 6

export interface PipelineSoak {
  /** Answers, at least. */
  readonly requests: number
  /** With one, requests are refused while it is away; with three they must go on. */
  readonly brokers: number
  readonly print: (line: string) => void
}

/** Whether everything went well. */
export async function soakPipelines({ requests, brokers, print }: PipelineSoak): Promise<boolean> {
  const kept = await startKeptPipeline(brokers)
  try {
    const load = startKeptLoad(kept)
    const part = Math.ceil(requests / PARTS)
    const kills = [
      () => killGateway(kept, 0),
      () => killBroker(kept, 0),
      () => killGateway(kept, 1),
      () => killBroker(kept, brokers - 1),
      () => Promise.all([killGateway(kept, 0), killBroker(kept, Math.min(1, brokers - 1))]),
    ]
    try {
      await load.moreAnswers('at first', part)
      for (const [index, kill] of kills.entries()) {
        print(`kill ${String(index + 1)} of ${String(kills.length)}`)
        await kill()
        await load.moreAnswers(`after kill ${String(index + 1)}`, part)
      }
    } finally {
      await load.stop()
    }
    return judge(await load.count(), brokers, print)
  } finally {
    await kept.stop()
  }
}

function judge({ problems, ...counts }: KeptCounts, brokers: number, print: PipelineSoak['print']): boolean {
  print(`${String(brokers)} brokers: ${JSON.stringify(counts)}`)
  for (const problem of problems.slice(0, 20)) print(`  ${problem}`)
  print(problems.length === 0 ? 'nothing went wrong' : `${String(problems.length)} things went wrong`)
  return problems.length === 0
}

async function killGateway({ mesh }: KeptPipeline, index: number): Promise<void> {
  await mesh.kill(`pipeline-gateway-${String(index)}`)
  await mesh.untilReady(`pipeline-gateway-${String(index)}`)
}

async function killBroker({ kafka }: KeptPipeline, index: number): Promise<void> {
  const broker = kafka.brokers[index]
  await broker?.kill()
  await pause(BROKER_AWAY_MS, new AbortController().signal)
  await broker?.start()
}
