import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../../kit/log.ts'
import { createRepository, type Repository } from '../../../model-server/repository.ts'
import type { LoadedModel, ModelFolder, Runtime } from '../../../model-server/runtimes/runtime.ts'
import { validTensor } from '../oip/valid-tensor.ts'

/** A runtime whose loads wait for the test, and which tells what was closed. */
const createGatedRuntime = () => {
  const events: string[] = []
  const gates: { name: string; open: (error?: Error) => void }[] = []
  const loads = new Map<string, number>()
  const model = (folder: ModelFolder, number: number): LoadedModel => ({
    inputs: [],
    outputs: [{ name: 'load', datatype: 'INT32', shape: [1], parameters: {} }],
    infer: () => Promise.resolve([validTensor('load', 'INT32', [1], [number])]),
    close: () => {
      events.push(`closed ${folder.internalName} ${String(number)}`)
      return Promise.resolve()
    },
  })
  const runtime: Runtime = {
    platform: 'gated',
    artifact: 'model.gated',
    async load(folder) {
      events.push(`loading ${folder.internalName}`)
      await new Promise<void>((resolve, reject) => {
        gates.push({
          name: folder.internalName,
          open: (error) => {
            if (error) reject(error)
            else resolve()
          },
        })
      })
      const number = (loads.get(folder.internalName) ?? 0) + 1
      loads.set(folder.internalName, number)
      return model(folder, number)
    },
    stop: () => Promise.resolve(),
  }
  return { runtime, events, gates }
}

const request = { id: '', parameters: {}, inputs: [], outputs: [] }
let folder: string
let gated: ReturnType<typeof createGatedRuntime>
let repository: Repository

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-repository-'))
  for (const name of ['a_1', 'b_2']) {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'model.gated'), '')
  }
  gated = createGatedRuntime()
  repository = createRepository({
    folder,
    runtimes: [gated.runtime],
    limits: { concurrent: 4, queued: 4 },
    log: silentLogger,
  })
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})
const until = async (condition: () => boolean): Promise<void> => {
  const deadline = Date.now() + 30_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('condition not met in time')
    await new Promise((resolve) => setImmediate(resolve))
  }
}
/** Lets the load of a model proceed, or fail, once it has begun. */
const proceed = async (name: string, error?: Error): Promise<void> => {
  await until(() => gated.gates.some((gate) => gate.name === name))
  const [gate] = gated.gates.splice(
    gated.gates.findIndex((candidate) => candidate.name === name),
    1,
  )
  gate?.open(error)
}
const stateOf = async (name: string) => (await repository.index()).find((entry) => entry.name === name)?.state

describe('the repository', () => {
  it('finds the runtime of a folder without model.json by its artefact', async () => {
    const load = repository.load('a_1')
    await until(() => gated.gates.length === 1)
    expect(await stateOf('a_1')).toBe('LOADING')
    expect(repository.isReady('a_1')).toBe(false)
    await proceed('a_1')
    await load
    expect(await repository.index()).toEqual([
      { name: 'a_1', version: '1', state: 'READY', reason: '' },
      { name: 'b_2', version: '2', state: 'UNAVAILABLE', reason: 'not loaded' },
    ])
    expect(repository.metadata('a_1')).toMatchObject({ name: 'a_1', versions: ['1'], platform: 'gated' })
  })

  it('loads different models side by side, the same one in turn', async () => {
    const [first, second, other] = [repository.load('a_1'), repository.load('a_1'), repository.load('b_2')]
    await proceed('b_2')
    await other
    expect(gated.events.filter((event) => event === 'loading a_1')).toHaveLength(1)
    await proceed('a_1')
    await first
    await proceed('a_1')
    await second
    expect(gated.events.slice(-2)).toEqual(['loading a_1', 'closed a_1 1'])
    expect((await repository.infer('a_1', request, new AbortController().signal)).outputs[0]?.bytes[0]).toBe(2)
  })

  it('does an unload that comes during the load after it', async () => {
    const load = repository.load('a_1')
    const unload = repository.unload('a_1')
    await proceed('a_1')
    await Promise.all([load, unload])
    expect(await stateOf('a_1')).toBe('UNAVAILABLE')
    expect(gated.events).toEqual(['loading a_1', 'closed a_1 1'])
  })

  it('keeps the model that serves when a reload fails, and says why a first load failed until it succeeds', async () => {
    const failing = expect(repository.load('a_1')).rejects.toMatchObject({ code: 'LOAD_FAILED' })
    await proceed('a_1', new Error('broken file'))
    await failing
    const [entry] = await repository.index()
    expect(entry).toMatchObject({ state: 'UNAVAILABLE', reason: 'model "a_1" cannot be loaded: broken file' })
    const loading = repository.load('a_1')
    await proceed('a_1')
    await loading
    const again = expect(repository.load('a_1')).rejects.toThrow('broken again')
    await proceed('a_1', new Error('broken again'))
    await again
    expect(await stateOf('a_1')).toBe('READY')
    expect(repository.isReady('a_1')).toBe(true)
  })

  it.each(['nobody_1', '..', '.', '', 'a_1/../b_2', '/etc', 'a_1\u0000'])('does not know %j', async (name) => {
    await expect(repository.load(name)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    await expect(repository.unload(name)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    expect(() => repository.isReady(name)).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }) as Error)
    expect(() => repository.metadata(name)).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }) as Error)
  })

  it.each([
    ['{"platform":"tensorflow"}', 'unknown platform "tensorflow"; this server has gated (model.gated)'],
    ['{', 'model.json cannot be read'],
    ['{"inputs":[{}]}', '/inputs/0'],
  ])('refuses a folder whose model.json is %s', async (document, message) => {
    writeFileSync(join(folder, 'a_1', 'model.json'), document)
    await expect(repository.load('a_1')).rejects.toMatchObject({
      code: 'LOAD_FAILED',
      message: expect.stringContaining(message) as unknown,
    })
  })

  it('refuses a folder without a file that any runtime knows', async () => {
    rmSync(join(folder, 'a_1', 'model.gated'))
    await expect(repository.load('a_1')).rejects.toThrow('no file of a known platform')
  })
})
