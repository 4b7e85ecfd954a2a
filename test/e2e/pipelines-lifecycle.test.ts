/**
 * What happens to a pipeline while 100 requests a second come for it, half REST, half gRPC: zero fail, zero are wrong, and
 * each is answered by the old version or the new, as the answer says. No Kafka.
 */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PipelineStatus } from '../../api/resources/status.ts'
import { packageRoot } from '../../kit/root.ts'
import { JAVASCRIPT_MODELS_FLAGS } from '../../up/servers/javascript-models.ts'
import { modelResource, until, untilAvailable } from '../support/models.ts'
import { describeFailures, type Load, type LoadReport, servedSince } from '../support/open-loop.ts'
import { ADD, ADD_THEN_MULTIPLY, numbersPipeline, startPipelineLoad, untilServedBy } from '../support/pipeline-load.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
let load: Load
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({
    replicas: 1,
    pipelineGateways: 3,
    absent: ['pipeline-gateway-2'],
    modelServerFlags: JAVASCRIPT_MODELS_FLAGS.modelServer,
    agentFlags: JAVASCRIPT_MODELS_FLAGS.agent,
    restarts: (name) => name === 'scheduler',
  })
  await applyModel('add10')
  await applyModel('mul10')
  await mesh.admin.apply(pipelineOf(ADD.steps))
  await untilServing(1)
  load = startPipelineLoad({
    ingress: mesh.ingress,
    pipeline: 'numbers',
    versions: { '1': ADD.compute, '2': ADD_THEN_MULTIPLY.compute, '3': ADD.compute, '4': ADD_THEN_MULTIPLY.compute },
  })
  await answers(100)
})
afterAll(() => mesh.stop())

const pipelineOf = (steps: readonly string[]) => numbersPipeline({ steps })

/** From a folder of its own, so that applying it again is a new version. */
async function applyModel(name: string, copy = 'first'): Promise<void> {
  const folder = join(mesh.folder, copy, name)
  cpSync(join(packageRoot, 'samples/javascript', name), folder, { recursive: true })
  await mesh.admin.apply(modelResource(name, { storageUri: folder, requirements: ['javascript'], replicas: 1 }))
  await untilAvailable(mesh.admin, name)
}

const statusOf = async (): Promise<PipelineStatus | undefined> =>
  (await mesh.admin.get('Pipeline', 'numbers').catch(() => undefined))?.resource.status as PipelineStatus | undefined
const untilServing = (version: number): Promise<void> =>
  until(`version ${String(version)} to serve`, async () => {
    const status = await statusOf()
    return status?.servingVersion === version && status.conditions?.at(-1)?.status === 'True'
  })
/** So many more, whatever they are. */
async function answers(count: number): Promise<void> {
  const seen = load.outcomes.length
  await until(`${String(count)} more answers`, () => load.outcomes.length >= seen + count)
}
const expectNoFailure = (report: Pick<LoadReport, 'sent' | 'failed' | 'outcomes'>): void => {
  expect(report.failed, describeFailures(report)).toEqual([])
}
const soFar = (): LoadReport => ({
  sent: load.outcomes.length,
  outcomes: load.outcomes,
  failed: load.outcomes.filter(({ ok }) => !ok),
})
const inEndpoints = async (count: number): Promise<void> => {
  const admin = mesh.ports.envoys[0]?.admin ?? 0
  await until(`${String(count)} healthy gateways`, async () => {
    const answer = await fetch(`http://127.0.0.1:${String(admin)}/clusters`)
    const lines = (await answer.text()).split('\n')
    const healthy = lines.filter((line) => /^pipeline-gateway\/rest::.*::health_flags::healthy$/.test(line))
    return healthy.length === count
  })
}

test('a model of a step is replaced', async () => {
  await applyModel('add10', 'second')
  await answers(100)
  expectNoFailure(soFar())
})

test('the pipeline is updated and updated back: the old version or the new, then only the new', async () => {
  await mesh.admin.apply(pipelineOf(ADD_THEN_MULTIPLY.steps))
  await untilServing(2)
  await untilServedBy(load, '2')
  expect([...servedSince(load, 0)].toSorted()).toEqual(['1', '2'])
  await mesh.admin.rollback('numbers', 0, 'Pipeline')
  await untilServing(3)
  await untilServedBy(load, '3')
  expectNoFailure(soFar())
})

test('a gateway is added, another one stops in good order', async () => {
  await mesh.start('pipeline-gateway-2')
  await inEndpoints(3)
  await answers(100)
  await mesh.terminate('pipeline-gateway-0', 20_000)
  await answers(100)
  await inEndpoints(2)
  expectNoFailure(soFar())
})

test('kill -9 of the scheduler, back by itself: nothing is noticed, and an update goes on afterwards', async () => {
  await mesh.kill('scheduler')
  await answers(100)
  await mesh.untilReady('scheduler')
  await mesh.admin.apply(pipelineOf(ADD_THEN_MULTIPLY.steps))
  await untilServing(4)
  await answers(100)
  expectNoFailure(await load.stop())
})
