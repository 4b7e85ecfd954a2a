/**
 * `npm run soak -- --streams`: pipelines of both runners and a model fed through Kafka, and pipelines that are called, while
 * each kind of process is killed under load and the broker stays away for ten seconds; then 10,000 requests of a gateway that
 * died. Every input has its end, the tensors are right, and what came twice is counted against the promise of docs/kafka.md.
 */
import { status as grpcStatus } from '@grpc/grpc-js'
import { pause } from '../../kit/backoff.ts'
import { headerOf } from '../../dataflow/journal/decode.ts'
import { GATEWAY_HEADER } from '../../dataflow/journal/topics.ts'
import { readAll } from '../support/kafka-records.ts'
import { until } from '../support/models.ts'
import type { Load } from '../support/open-loop.ts'
import { numberRequest, recoverOrphans } from '../support/orphans.ts'
import { startPipelineLoad } from '../support/pipeline-load.ts'
import {
  ADD10_TARGET,
  numberPipeline,
  pipelineTarget,
  startStreamScene,
  type StreamScene,
} from '../support/stream-scene.ts'
import { type FedCounts, type Feed, startFeed } from '../support/topic-feed.ts'

/** By runner. */
const DIRECT = ['sums-0', 'sums-1']
const OVER_TOPICS = ['flows-0', 'flows-1']
const PIPELINES = [...DIRECT, ...OVER_TOPICS]
const FED_PER_SECOND = 80
const CALLS_PER_SECOND = 10
const BROKER_AWAY_MS = 10_000
/** A call over topics that was under way when the broker went is answered after it is back; whoever waits longer hangs. */
const CALL_HANGS_MS = 45_000
const PROGRESS_MS = 180_000
/** After the load has ended, with all parts there. */
const RECOVERY_MS = 60_000
const RESTARTED = /^(?:pipeline-gateway|engine|model-gateway|scheduler)/
const ORPHANS = 10_000
const DEADLINE_EXCEEDED = String(grpcStatus.DEADLINE_EXCEEDED)

export interface StreamSoak {
  /** Fed and called together. */
  readonly requests: number
  readonly print: (line: string) => void
}

/** Whether everything went well. */
export async function soakStreams({ requests, print }: StreamSoak): Promise<boolean> {
  const scene = await startStreamScene({
    engines: 2,
    modelGateways: 2,
    pipelineGateways: 2,
    pipelines: [
      ...DIRECT.map((name) => numberPipeline(name)),
      ...OVER_TOPICS.map((name) => numberPipeline(name, { execution: 'topics' })),
    ],
    restarts: (name) => RESTARTED.test(name),
  })
  try {
    const feed = startFeed(scene.kafka, [...PIPELINES.map(pipelineTarget), ADD10_TARGET], FED_PER_SECOND, 'soak')
    const calls = PIPELINES.map((pipeline) =>
      startPipelineLoad({
        ingress: scene.mesh.ingress,
        pipeline,
        versions: { '1': (input) => (input + 10) * 10 },
        ratePerSecond: CALLS_PER_SECOND / PIPELINES.length,
        requestDeadlineMs: CALL_HANGS_MS,
      }),
    )
    await killAll(scene, feed, calls, requests, print)
    await Promise.all([feed.stop(), ...calls.map((load) => load.stop())])
    const problems = [...(await judgeFed(feed, print)), ...(await judgeCalled(scene, calls, print))]
    const orphans = await recoverOrphans(scene.kafka, {
      pipeline: 'sums-0',
      count: ORPHANS,
      request: numberRequest(1),
      deadlineMs: RECOVERY_MS,
    })
    print(`${String(ORPHANS)} requests of a gateway that died: ${JSON.stringify(orphans)}`)
    for (const problem of problems.slice(0, 20)) print(`  ${problem}`)
    print(problems.length === 0 ? 'nothing went wrong' : `${String(problems.length)} things went wrong`)
    if (problems.length > 0) print(scene.mesh.logTails())
    return problems.length === 0
  } finally {
    await scene.stop()
  }
}

async function killAll(
  { mesh, broker }: StreamScene,
  feed: Feed,
  calls: readonly Load[],
  requests: number,
  print: StreamSoak['print'],
): Promise<void> {
  const restart = async (name: string): Promise<void> => {
    await mesh.kill(name)
    await mesh.untilReady(name)
  }
  const kills: Readonly<Record<string, () => Promise<void>>> = {
    'a pipeline gateway': () => restart('pipeline-gateway-0'),
    'an engine': () => restart('engine-0'),
    'the other engine': () => restart('engine-1'),
    'a model gateway': () => restart('model-gateway-0'),
    'the other model gateway': () => restart('model-gateway-1'),
    'the scheduler': () => restart('scheduler'),
    'the broker': async () => {
      await broker.kill()
      await pause(BROKER_AWAY_MS, new AbortController().signal)
      await broker.start()
    },
    'an engine, after the broker': () => restart('engine-0'),
  }
  const done = (): number => feed.acknowledged() + calls.reduce((sum, { outcomes }) => sum + outcomes.length, 0)
  const part = Math.ceil(requests / (Object.keys(kills).length + 1))
  const more = async (what: string): Promise<void> => {
    const goal = done() + part
    await until(`requests ${what}`, () => done() >= goal, PROGRESS_MS)
  }
  await more('at first')
  for (const [what, kill] of Object.entries(kills)) {
    print(`${new Date().toISOString()} kill -9 of ${what}`)
    await kill()
    await more(`after the kill of ${what}`)
  }
}

async function judgeFed(feed: Feed, print: StreamSoak['print']): Promise<readonly string[]> {
  const endedMs = performance.now()
  let counts: FedCounts = await feed.count()
  while (counts.missing.length > 0 && performance.now() - endedMs < RECOVERY_MS) {
    await pause(500, new AbortController().signal)
    counts = await feed.count()
  }
  const { missing, wrong, unmarked, ...numbers } = counts
  print(
    `fed: ${JSON.stringify({ ...numbers, missing: missing.length, wrong: wrong.length, unmarked: unmarked.length })}`,
  )
  return [
    ...missing.map((key) => `${key} was fed, and has no result or error`),
    ...wrong,
    ...unmarked.map((key) => `${key} is there twice, and no mark says so`),
  ]
}

async function judgeCalled(
  { kafka }: StreamScene,
  calls: readonly Load[],
  print: StreamSoak['print'],
): Promise<readonly string[]> {
  const outcomes = calls.flatMap((load) => load.outcomes)
  const ends: Record<string, number> = {}
  for (const { status } of outcomes) ends[status] = (ends[status] ?? 0) + 1
  print(`called: ${String(outcomes.length)} ${JSON.stringify(ends)}`)
  const wrong = outcomes.filter(
    ({ status, detail }) => status === 'wrong' || status === DEADLINE_EXCEEDED || /TimeoutError/.test(detail),
  )
  const unended: string[] = []
  const look = async (): Promise<boolean> => {
    unended.length = 0
    for (const name of PIPELINES) {
      const { inputs, outputs } = pipelineTarget(name)
      const ended = new Set((await readAll(kafka, outputs)).map(({ key }) => key))
      for (const { key, headers } of await readAll(kafka, inputs))
        if (headerOf(headers, GATEWAY_HEADER) !== undefined && !ended.has(key)) unended.push(key)
    }
    return unended.length === 0
  }
  await until('an end of every call', look, RECOVERY_MS).catch(() => undefined) // the problems say which have none
  return [
    ...wrong.map(
      ({ model, protocol, sentAtMs, endedAtMs, status, detail }) =>
        `a call of ${model} over ${protocol} at ${new Date(sentAtMs).toISOString()}, ${String(endedAtMs - sentAtMs)} ms: ${status} ${detail}`,
    ),
    ...unended.map((key) => `${key} was called, and the topics have no end of it`),
  ]
}
