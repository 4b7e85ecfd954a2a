import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AgentConfig } from '../../agent/config.ts'
import { type AgentRig, createAgentRig } from '../support/agent-rig.ts'
import { desiredModel, type FakeConnection } from '../support/fake-scheduler.ts'

let rig: AgentRig
beforeEach(async () => {
  rig = await createAgentRig()
})
afterEach(() => rig.stop())

const untilHealth = (connection: FakeConnection, state: string): Promise<void> =>
  rig.scheduler.until(state, () => connection.health.at(-1) === state)

/** An artefact for any kind of server. */
const ANY_SERVER = { 'model.onnx': 'weights', 'model-settings.json': '{"implementation":"model.Iris"}' }

/** An agent with models a_1 and b_1 loaded, and its server SERVING. */
async function startWithTwoModels(overrides: Partial<AgentConfig> = {}): Promise<FakeConnection> {
  await rig.startAgent(overrides)
  const connection = await rig.scheduler.connection(0)
  const uri = await rig.artifact('iris', ANY_SERVER)
  connection.sendDesired({
    epoch: 'e1',
    generation: 1,
    full: true,
    models: [desiredModel('a_1', uri), desiredModel('b_1', uri)],
  })
  await rig.scheduler.until('generation 1', () => connection.appliedGeneration === 1)
  await untilHealth(connection, 'SERVING')
  return connection
}

describe('the health of the model server', () => {
  it('is RELOADING until the first desired models are loaded, then SERVING whatever is loaded later', async () => {
    const release = rig.server.holdLoads()
    await rig.startAgent()
    const connection = await rig.scheduler.connection(0)
    expect(connection.health).toEqual(['RELOADING'])
    const uri = await rig.artifact('iris')
    connection.sendDesired({ epoch: 'e1', generation: 1, full: true, models: [desiredModel('a_1', uri)] })
    await rig.scheduler.until('the reason names what is awaited', () => connection.healthReason.includes('a_1'))
    release()
    await untilHealth(connection, 'SERVING')
    const releaseAgain = rig.server.holdLoads()
    connection.sendDesired({ epoch: 'e1', generation: 2, full: false, models: [desiredModel('b_1', uri)] })
    await rig.scheduler.until('b_1 is loading', () => connection.models.get('b_1')?.state === 'LOADING')
    releaseAgain()
    await rig.scheduler.until('b_1 is loaded', () => connection.models.get('b_1')?.state === 'LOADED')
    expect(connection.health.filter((state) => state !== 'RELOADING')).toEqual(['SERVING'])
  })

  it('is DOWN when the server is killed, RELOADING when it is back, SERVING when every model has been loaded again', async () => {
    const connection = await startWithTwoModels()
    await rig.server.kill()
    await untilHealth(connection, 'DOWN')
    expect(connection.healthReason).toMatch(/^server 127\.0\.0\.1:\d+: .*[A-Za-z]/)
    const release = rig.server.holdLoads()
    await rig.server.restart()
    await untilHealth(connection, 'RELOADING')
    expect(rig.server.models.size).toBe(0)
    release()
    await untilHealth(connection, 'SERVING')
    expect(rig.server.models).toEqual(new Set(['a_1', 'b_1']))
    expect(connection.models.get('a_1')?.state).toBe('LOADED')
  })

  it('becomes SERVING again when a model cannot be loaded any more: a failure is an answer', async () => {
    const connection = await startWithTwoModels()
    await rig.server.kill()
    await untilHealth(connection, 'DOWN')
    rig.server.refused.set('b_1', 'file is corrupt')
    await rig.server.restart()
    await untilHealth(connection, 'SERVING')
    expect(connection.models.get('b_1')).toMatchObject({ state: 'LOAD_FAILED', reason: 'LOAD_FAILED: file is corrupt' })
    expect(rig.server.models).toEqual(new Set(['a_1']))
  })

  it('notices a server that was replaced between two checks', async () => {
    const connection = await startWithTwoModels()
    await rig.server.kill()
    await rig.server.restart()
    await rig.scheduler.until('both are back', () => rig.server.models.size === 2)
    await untilHealth(connection, 'SERVING')
  })

  it('is DOWN when the server stops answering, and SERVING with nothing loaded again when it answers', async () => {
    const connection = await startWithTwoModels()
    const thaw = rig.server.freeze()
    await untilHealth(connection, 'DOWN')
    const loads = rig.server.log.length
    thaw()
    await untilHealth(connection, 'SERVING')
    expect(rig.server.log.length).toBe(loads)
  })

  it('which is silent while it loads, as MLServer is, is DOWN only when it is silent afterwards', async () => {
    const connection = await startWithTwoModels({ serverType: 'mlserver' })
    const finishLoad = rig.server.holdLoads()
    const models = [desiredModel('c_1', await rig.artifact('silent', ANY_SERVER))]
    connection.sendDesired({ epoch: 'e1', generation: 2, full: false, models })
    await rig.server.loadBegun()
    rig.server.freeze()
    const checks = rig.server.checks
    await rig.server.until('checks without an answer', () => rig.server.checks >= checks + 5)
    expect(connection.health.at(-1)).toBe('SERVING')
    finishLoad()
    await rig.scheduler.until('c_1 LOADED', () => connection.models.get('c_1')?.state === 'LOADED')
    await untilHealth(connection, 'DOWN')
  })

  it('which is silent for longer than a load may take is DOWN, however many loads there are', async () => {
    const connection = await startWithTwoModels({ serverType: 'mlserver', maxParallelLoads: 1, loadDeadlineMs: 1_000 })
    rig.server.holdLoads()
    const uri = await rig.artifact('silent', ANY_SERVER)
    const models = ['c_1', 'd_1', 'e_1', 'f_1'].map((name) => desiredModel(name, uri))
    connection.sendDesired({ epoch: 'e1', generation: 2, full: false, models })
    await rig.server.loadBegun()
    rig.server.freeze()
    await untilHealth(connection, 'DOWN')
    expect(connection.models.get('f_1')?.state).not.toBe('LOAD_FAILED') // its turn had not come
  })

  it('is DOWN from the start without a server, and models wait for it', async () => {
    await rig.server.kill()
    await rig.startAgent()
    const connection = await rig.scheduler.connection(0)
    expect(connection.health).toEqual(['DOWN'])
    expect(connection.hello.health?.reason).toMatch(/^server (127\.0\.0\.1:\d+): connect ECONNREFUSED \1$/)
    const models = [desiredModel('a_1', await rig.artifact('iris'))]
    connection.sendDesired({ epoch: 'e1', generation: 1, full: true, models })
    await rig.scheduler.until('a_1 waits', () => connection.models.get('a_1')?.state === 'LOADING')
    expect(connection.appliedGeneration).toBe(0)
    await rig.server.restart()
    await untilHealth(connection, 'SERVING')
    expect(connection.models.get('a_1')?.state).toBe('LOADED')
  })

  it('gives up a model whose load takes the server down three times', async () => {
    await rig.startAgent()
    const connection = await rig.scheduler.connection(0)
    const models = [desiredModel('bomb_1', await rig.artifact('iris'))]
    rig.server.holdLoads()
    connection.sendDesired({ epoch: 'e1', generation: 1, full: true, models })
    for (let death = 0; death < 3; death += 1) {
      await rig.server.loadBegun()
      await untilHealth(connection, 'RELOADING')
      await rig.server.kill()
      await untilHealth(connection, 'DOWN')
      await rig.server.restart()
    }
    await untilHealth(connection, 'SERVING')
    expect(connection.models.get('bomb_1')?.state).toBe('LOAD_FAILED')
    expect(connection.models.get('bomb_1')?.reason).toMatch(/went away 3 times while loading it/)
  })
})
