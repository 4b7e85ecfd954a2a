import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AgentRig, createAgentRig } from '../support/agent-rig.ts'
import { desiredModel, type FakeConnection } from '../support/fake-scheduler.ts'

let rig: AgentRig
let connection: FakeConnection

beforeEach(async () => {
  rig = await createAgentRig()
  await rig.startAgent({ auditIntervalMs: 300 })
  connection = await rig.scheduler.connection(0)
})
afterEach(() => rig.stop())

const stateOf = (name: string): string | undefined => connection.models.get(name)?.state
const untilState = (name: string, state: string): Promise<void> =>
  rig.scheduler.until(`${name} ${state}`, () => stateOf(name) === state)
const full = (generation: number, ...models: ReturnType<typeof desiredModel>[]): void => {
  connection.sendDesired({ epoch: 'e1', generation, full: true, models })
}

describe('an agent told what is desired', () => {
  it('says who it is and what it can in its first message', () => {
    expect(connection.hello).toMatchObject({
      serverName: 'embedded',
      replicaIndex: 0,
      epoch: '',
      generation: '0',
      config: { memoryBytes: '1000', capabilities: ['onnx', 'embedded'], nameSource: 'HEADER' },
    })
    expect(connection.hello.sessionId).not.toBe('')
  })

  it('copies the artefact under the internal name, loads it and reports its size', async () => {
    const uri = await rig.artifact('iris', {
      'model.onnx': 'weights',
      'model.json': '{"name":"iris","platform":"onnx","parameters":{"a":"own","b":"own"}}',
    })
    full(7, desiredModel('iris_3', uri, { parameters: { b: 'given' } }))
    await untilState('iris_3', 'LOADED')
    expect(new Set(connection.history)).toEqual(new Set(['iris_3 LOADING', 'iris_3 LOADED']))
    expect(rig.server.models).toEqual(new Set(['iris_3']))
    expect(connection.models.get('iris_3')).toMatchObject({ attempt: 1, artifactBytes: String(7 + 68) })
    const description: unknown = JSON.parse(await readFile(join(rig.repository, 'iris_3/model.json'), 'utf8'))
    expect(description).toEqual({ name: 'iris_3', platform: 'onnx', parameters: { a: 'own', b: 'given' } })
    await rig.scheduler.until('generation 7', () => connection.appliedGeneration === 7)
    expect(connection.availableMemoryBytes).toBe(900)
  })

  it('unloads what is removed, and leaves nothing of it on the disk', async () => {
    full(1, desiredModel('iris_1', await rig.artifact('iris')))
    await untilState('iris_1', 'LOADED')
    connection.sendDesired({ epoch: 'e1', generation: 2, full: false, removed: ['iris_1'] })
    await untilState('iris_1', 'UNLOADED')
    expect(rig.server.models.size).toBe(0)
    expect(await readdir(rig.repository)).toEqual(['.millrace'])
    expect(await readdir(join(rig.repository, '.millrace/tmp'))).toEqual([])
  })

  it("reports a failed load with the server's own message and tries again only when the attempt grows", async () => {
    const uri = await rig.artifact('iris')
    rig.server.refused.set('iris_1', 'tensor shapes do not fit')
    full(1, desiredModel('iris_1', uri))
    await untilState('iris_1', 'LOAD_FAILED')
    expect(connection.models.get('iris_1')).toMatchObject({
      attempt: 1,
      reason: 'LOAD_FAILED: tensor shapes do not fit',
    })
    connection.sendDesired({ epoch: 'e1', generation: 2, full: false, models: [desiredModel('iris_1', uri)] })
    await rig.scheduler.until('generation 2', () => connection.appliedGeneration === 2)
    expect(rig.server.log).toEqual(['refuse iris_1'])
    rig.server.refused.clear()
    const again = desiredModel('iris_1', uri, { attempt: 2 })
    connection.sendDesired({ epoch: 'e1', generation: 3, full: false, models: [again] })
    await untilState('iris_1', 'LOADED')
    expect(connection.models.get('iris_1')?.attempt).toBe(2)
  })

  it('says why an artefact cannot be fetched, and loads the others', async () => {
    const uri = await rig.artifact('iris')
    full(
      1,
      desiredModel('iris_1', uri),
      desiredModel('gone_1', join(rig.artifacts, 'gone')),
      desiredModel('outside_1', '/etc'),
      desiredModel('cloud_1', 's3://bucket/iris'),
    )
    await rig.scheduler.until('generation 1', () => connection.appliedGeneration === 1)
    expect(stateOf('iris_1')).toBe('LOADED')
    expect(connection.models.get('gone_1')?.reason).toMatch(/^ARTIFACT_NOT_FOUND: storageUri ".*gone": does not exist/)
    expect(connection.models.get('outside_1')?.reason).toMatch(/^ARTIFACT_URI_REFUSED: storageUri "\/etc": .*outside/)
    expect(connection.models.get('cloud_1')?.reason).toMatch(/^ARTIFACT_URI_REFUSED: .*scheme s3 is not supported/)
  })

  it('loads at most four models at once', async () => {
    const uri = await rig.artifact('iris')
    const release = rig.server.holdLoads()
    full(1, ...Array.from({ length: 10 }, (_, index) => desiredModel(`m${String(index)}_1`, uri)))
    await rig.scheduler.until('every model is waiting or loading', () => connection.models.size === 10)
    await rig.scheduler.until(
      'four are fetched',
      () => [...connection.models.values()].filter((model) => model.artifactBytes === '7').length === 4,
    )
    release()
    await rig.scheduler.until('generation 1', () => connection.appliedGeneration === 1)
    expect(rig.server.models.size).toBe(10)
    expect(rig.server.mostParallelLoads).toBe(4)
  })

  it('unloads a model that is no longer desired when its load ends', async () => {
    const release = rig.server.holdLoads()
    full(1, desiredModel('iris_1', await rig.artifact('iris')))
    await rig.scheduler.until('it is fetched', () => connection.models.get('iris_1')?.artifactBytes === '7')
    full(2)
    release()
    await untilState('iris_1', 'UNLOADED')
    expect(rig.server.log).toEqual(['load iris_1', 'unload iris_1'])
  })

  it('replaces a model whose artefact changed under the same name without unloading it', async () => {
    full(1, desiredModel('iris_1', await rig.artifact('a')))
    await untilState('iris_1', 'LOADED')
    full(2, desiredModel('iris_1', await rig.artifact('b', { 'model.onnx': 'other weights' })))
    await rig.scheduler.until('generation 2', () => connection.appliedGeneration === 2)
    expect(rig.server.log).toEqual(['load iris_1', 'load iris_1'])
    expect(await readFile(join(rig.repository, 'iris_1/model.onnx'), 'utf8')).toBe('other weights')
  })

  it('tries an unload that failed again by itself', async () => {
    full(1, desiredModel('iris_1', await rig.artifact('iris')))
    await untilState('iris_1', 'LOADED')
    rig.server.refused.set('unload iris_1', 'busy')
    full(2)
    await untilState('iris_1', 'UNLOAD_FAILED')
    expect(connection.models.get('iris_1')?.reason).toBe('UNLOAD_FAILED: busy')
    rig.server.refused.clear()
    await untilState('iris_1', 'UNLOADED')
    expect(existsSync(join(rig.repository, 'iris_1'))).toBe(false)
  })

  it('unloads what the server has and a full message does not name, and loads back what somebody else unloaded', async () => {
    full(1, desiredModel('iris_1', await rig.artifact('iris')))
    await untilState('iris_1', 'LOADED')
    rig.server.models.add('orphan_1')
    rig.server.models.delete('iris_1')
    await untilState('orphan_1', 'UNLOADED')
    await rig.scheduler.until('iris_1 is back', () => rig.server.models.has('iris_1') && stateOf('iris_1') === 'LOADED')
    expect(rig.server.models).toEqual(new Set(['iris_1']))
  })
})
