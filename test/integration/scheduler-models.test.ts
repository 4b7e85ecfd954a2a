import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { createFakeAgent, type FakeAgent, type FakeAgentOptions } from '../support/fake-agent.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { aModelResource, freshPrefix, type SchedulerRig, startSchedulerRig } from '../support/scheduler-rig.ts'

let redis: TestRedis
const rigs: SchedulerRig[] = []
const agents: FakeAgent[] = []

beforeAll(async () => {
  redis = await startRedis()
})
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.close()
  for (const rig of rigs.splice(0)) await rig.stop()
})
afterAll(async () => {
  await redis.stop()
})

async function startRig(keyPrefix = freshPrefix(), flags: readonly string[] = []): Promise<SchedulerRig> {
  const rig = await startSchedulerRig({ redisUrl: redis.url, keyPrefix, flags })
  rigs.push(rig)
  return rig
}

function startAgent(rig: SchedulerRig, options: Omit<FakeAgentOptions, 'schedulerPort'> = {}): FakeAgent {
  const agent = createFakeAgent({ schedulerPort: rig.ports.agent, ...options })
  agents.push(agent)
  agent.connect()
  return agent
}

it('a model is placed, loaded by its agent and, with no Envoy, not yet available', async () => {
  const rig = await startRig()
  const agent = startAgent(rig)
  expect(await rig.admin.apply(aModelResource('iris'))).toMatchObject({ outcome: 'created' })
  const status = await rig.untilModel('iris', (now) => now.reason?.includes('no Envoy connected') === true)
  expect(status).toMatchObject({ state: 'ModelProgressing', version: 1, server: 'embedded' })
  expect([...agent.loaded]).toEqual(['iris_1'])
})
