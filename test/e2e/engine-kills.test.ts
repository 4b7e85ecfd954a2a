/** Pipelines fed through a real Kafka to two engines, one of which is killed: every record has its result, and what comes twice says so. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../support/models.ts'
import { printLogsOfFailedTests } from '../support/processes.ts'
import { numberPipeline, pipelineTarget, startStreamScene, type StreamScene } from '../support/stream-scene.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'
import { startFeed } from '../support/topic-feed.ts'

const PIPELINES = ['sums-0', 'sums-1', 'sums-2', 'sums-3']
/** In a burst, so that much is in flight. */
const RECORDS = 600
const WAIT_MS = 60_000

let scene: StreamScene
printLogsOfFailedTests(() => scene.mesh)

beforeAll(async () => {
  scene = await startStreamScene({
    engines: 2,
    pipelineGateways: 1,
    pipelines: PIPELINES.map((name) => numberPipeline(name)),
    restarts: (name) => name.startsWith('engine'),
  })
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await scene.stop()
})

test('an engine dies with records in flight and comes back: nothing is lost or wrong, and what is there twice is marked', async () => {
  const feed = startFeed(scene.kafka, PIPELINES.map(pipelineTarget), RECORDS, 'kill')
  await until('records', () => feed.acknowledged() >= RECORDS, WAIT_MS)
  await scene.mesh.kill('engine-0')
  await feed.stop()
  await until('all results', async () => (await feed.count()).missing.length === 0, WAIT_MS)
  await scene.mesh.untilReady('engine-0') // and takes its share again
  const { missing, wrong, failed, unmarked } = await feed.count()
  expect({ missing, wrong, failed, unmarked }).toEqual({ missing: [], wrong: [], failed: 0, unmarked: [] })
}, 180_000)
