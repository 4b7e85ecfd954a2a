/** JavaScript models that misbehave, in the real embedded server: their callers learn why, and nobody else is concerned. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ModelServerProcess, startRealModelServer } from '../support/model-server-process.ts'

let server: ModelServerProcess
let models = 0

beforeAll(async () => {
  server = await startRealModelServer('--javascript-models', '--javascript-inference-ms', '5000')
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await server.stop()
})
const folder = mkdtempSync(join(tmpdir(), 'millrace-javascript-'))

const scalar = (name: string) => ({ name, datatype: 'INT32', shape: [1] })
const DOCUMENT = { platform: 'javascript', inputs: [scalar('x')], outputs: [scalar('y'), scalar('z')] }

/** Loads a model with this source under a name of its own. `document` is laid over a model.json of x -> y, z. */
async function load(source: string, document: object = {}): Promise<string> {
  models += 1
  const name = `m${String(models)}_1`
  server.addModel(name, { document: { ...DOCUMENT, ...document }, files: { 'model.js': source } })
  await server.load(name)
  return name
}

/** Status, and the error or y. */
async function infer(name: string, x = 1): Promise<readonly [number, unknown]> {
  const inputs = [{ ...scalar('x'), data: [x] }]
  const response = await server.post(`/v2/models/${name}/infer`, JSON.stringify({ inputs }))
  const body = (await response.json()) as { error?: string; outputs?: { name: string; data: unknown[] }[] }
  return [response.status, body.error ?? body.outputs?.map((output) => [output.name, output.data])]
}

const unload = (name: string) => server.post(`/v2/repository/models/${name}/unload`)
const threads = (): number =>
  Number(/^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${String(server.child.pid)}/status`, 'utf8'))?.[1])

/** Does what x says: 0 is the misbehaviour, everything else an answer. */
const sometimes = (misbehaviour: string) => `export function infer({ x }) {
  if (x.data[0] === 0) { ${misbehaviour} }
  return { y: x.data }
}`
const OK = [200, [['y', [1]]]]
const FAST = { limits: { inferenceMs: 1_000 } }

describe('a model that does not come back', () => {
  it('is ended at its limit: its caller is told, calls behind it and other models are answered', async () => {
    const stuck = await load(sometimes('for (;;) {}'), FAST)
    const neighbour = await load(sometimes(''))
    const answers = [infer(stuck, 0), infer(stuck), infer(stuck)]
    expect(await Promise.race([infer(neighbour), ...answers])).toEqual(OK) // while the other is stuck
    expect(await Promise.all(answers)).toEqual([
      [
        504,
        `model ${stuck} was ended: one inference took longer than 1000 ms (limits.inferenceMs in model.json, at most --javascript-inference-ms of the server)`,
      ],
      OK,
      OK,
    ])
  })

  it('is ended when it waits for ever, too, and by gRPC the caller gets DEADLINE_EXCEEDED', async () => {
    const stuck = await load('export const infer = () => new Promise(() => {})', FAST)
    const code = await new Promise((resolve) => {
      const inputs = [{ ...scalar('x'), contents: { intContents: [1] } }]
      server.client.ModelInfer({ modelName: stuck, inputs }, (error) => {
        resolve(error?.code)
      })
    })
    expect(code).toBe(4)
  })

  it('does not count the time that a call waits for others', async () => {
    const slow = await load(
      `import { setTimeout as pause } from 'node:timers/promises'
       export const infer = async ({ x }) => { await pause(800); return { y: x.data } }`,
      { limits: { inferenceMs: 2_400 } },
    )
    expect(await Promise.all([1, 2, 3, 4].map(() => infer(slow)))).toEqual([OK, OK, OK, OK])
  })
})

describe('a model whose thread ends', () => {
  it.each([
    [
      'fills its heap',
      'const all = []; for (;;) all.push({ x })',
      { limits: { heapMb: 32 } },
      'more heap than 32 MB (limits.heapMb',
    ],
    ['exits', 'process.exit(3)', {}, 'it left its thread with exit code 3, as process.exit() does'],
    [
      'leaves a rejection',
      "Promise.reject(new Error('nobody cares')); return new Promise(() => {})",
      {},
      'it left an error or rejection uncaught: nobody cares',
    ],
    [
      'throws later',
      "setTimeout(() => { throw new Error('too late') }); return new Promise(() => {})",
      {},
      'uncaught: too late',
    ],
  ])('because it %s says so and is there again for the next call', async (_, misbehaviour, document, reason) => {
    const name = await load(sometimes(misbehaviour), document)
    const neighbour = await load(sometimes(''))
    const [status, message] = await infer(name, 0)
    expect([status, message]).toEqual([500, expect.stringContaining(`model ${name} was ended: `)])
    expect(message).toContain(reason)
    expect(await Promise.all([infer(name), infer(neighbour)])).toEqual([OK, OK])
  })

  it('again and again is started again with growing pauses, and calls are refused meanwhile', async () => {
    const name = await load(sometimes('process.exit(1)'))
    expect((await infer(name, 0))[0]).toBe(500)
    expect((await infer(name, 0))[0]).toBe(500) // the first new thread came at once
    let refused = await infer(name, 0)
    for (let ends = 0; refused[0] === 500 && ends < 6; ends++) refused = await infer(name, 0) // until a pause is seen
    expect(refused).toEqual([503, expect.stringMatching(/is started again within \d+ ms; it ended because: /)])
    await expect.poll(() => infer(name)).toEqual(OK)
    expect((await infer(name, 0))[0]).toBe(500) // an answer ends the pauses
    expect(await infer(name)).toEqual(OK)
  })
})

describe('what a model throws', () => {
  it.each([
    ["throw new Error('no such row')", 500, 'no such row'],
    ["throw Object.assign(new Error('x must not be 0'), { status: 400 })", 400, 'x must not be 0'],
    ["throw 'text'", 500, 'text'],
    ['throw undefined', 500, 'undefined'],
    ['return Promise.reject(new Error("later"))', 500, 'later'],
  ])('%s reaches the caller with %i', async (misbehaviour, status, message) => {
    const name = await load(sometimes(misbehaviour))
    expect(await infer(name, 0)).toEqual([status, `model ${name}: ${message}`])
    expect(await infer(name)).toEqual(OK)
  })
})

describe('an output', () => {
  it('may be left out, and only those asked for are given, in that order', async () => {
    const name = await load('export const infer = ({ x }) => ({ z: [x.data[0] + 1], y: x.data })')
    const ask = async (...names: string[]) => {
      const outputs = names.map((output) => ({ name: output }))
      const body = JSON.stringify({ inputs: [{ ...scalar('x'), data: [1] }], outputs })
      const response = await server.post(`/v2/models/${name}/infer`, body)
      return ((await response.json()) as { outputs: { name: string }[] }).outputs.map((output) => output.name)
    }
    expect(await ask()).toEqual(['y', 'z'])
    expect(await ask('z', 'y')).toEqual(['z', 'y'])
    expect(await ask('z')).toEqual(['z'])
    const quiet = await load('export const infer = () => ({ y: undefined, z: null })')
    expect(await infer(quiet)).toEqual([200, []])
  })

  it.each([
    ['7', 'infer must give an object with one member per output'],
    ['undefined', 'infer must give an object with one member per output'],
    ['{ w: [1] }', 'output "w" is unknown; model.json declares "y", "z"'],
    ['{ y: [1, 2] }', 'bad output: tensor "y": has 2 elements, its shape [1] has 1'],
    [
      '{ y: { data: [1], shape: [1, 1] } }',
      'bad output: tensor "y": has shape [1,1], model.json declares [1] (-1 is any size)',
    ],
    ['{ y: { data: [1], datatype: "FP32" } }', 'bad output: tensor "y": is "FP32", model.json declares INT32'],
    [
      '{ y: [1.5] }',
      'bad output: tensor "y": element 0 is 1.5, must be an integer from -2147483648 to 2147483647 (INT32)',
    ],
  ])('%s is the model’s failure, by name', async (output, message) => {
    const name = await load(`export const infer = () => (${output})`)
    expect(await infer(name)).toEqual([500, `model ${name}: ${message}`])
  })
})

describe('a load', () => {
  it('gets name, folder and parameters, and what it gives comes with each call', async () => {
    const name = await load(
      `export const load = async ({ name, folder, parameters }) => ({ name, folder, ...parameters })
       export const infer = (_, { state }) => { throw new Error(JSON.stringify(state)) }`,
      { parameters: { text: 'a', whole: 3, part: 0.5, yes: true } },
    )
    const [, message] = await infer(name)
    const folder = `${server.repository}/${name}`
    expect(message).toBe(
      `model ${name}: ${JSON.stringify({ name, folder, text: 'a', whole: 3, part: 0.5, yes: true })}`,
    )
  })

  it('may import files beside the model', async () => {
    server.addModel('parts_1', {
      document: DOCUMENT,
      files: {
        'model.js': "export { infer } from './rest.js'",
        'rest.js': 'export const infer = ({ x }) => ({ y: x.data })',
      },
    })
    await server.load('parts_1')
    expect(await infer('parts_1')).toEqual(OK)
  })

  it.each([
    ['export const load = () => { throw new Error("no weights") }\nexport const infer = () => ({})', {}, 'no weights'],
    ['export const inferr = () => ({})', {}, 'model.js exports no function infer(tensors, context)'],
    ['export const infer = 7', {}, 'model.js exports infer, but as number: it must be a function'],
    ['export const infer = () => (', {}, 'SyntaxError: Unexpected end of input (node --check'],
    ["import './missing.js'", {}, 'missing.js'],
    ['for (;;) {}', { limits: { loadMs: 300 } }, 'its load took longer than 300 ms (limits.loadMs in model.json'],
    ['process.exit(4)', {}, 'it left its thread with exit code 4'],
    ['export const infer = () => ({})', { inputs: undefined }, '/inputs: is missing'],
    ['export const infer = () => ({})', { limits: { heapMb: 100_000 } }, '(--javascript-heap-mb)'],
  ])('that fails says why, and leaves no thread: %s', async (source, document, reason) => {
    const before = threads()
    await expect(load(source, document)).rejects.toThrow(JSON.stringify(reason).slice(1, -1))
    await expect.poll(threads).toBeLessThanOrEqual(before)
  })

  it('of a folder without model.js is refused', async () => {
    server.addModel('empty_1', { document: DOCUMENT })
    await expect(server.load('empty_1')).rejects.toThrow('the model has no model.js')
  })

  it('replaces a loaded model only when it succeeds', async () => {
    const name = await load(sometimes(''))
    server.addModel(name, { document: DOCUMENT, files: { 'model.js': 'throw new Error("broken")' } })
    await expect(server.load(name)).rejects.toThrow('broken')
    expect(await infer(name)).toEqual(OK)
    server.addModel(name, { document: DOCUMENT, files: { 'model.js': 'export const infer = () => ({ z: [5] })' } })
    await server.load(name)
    expect(await infer(name)).toEqual([200, [['z', [5]]]])
  })
})

describe('an unload', () => {
  it('ends the thread, once the calls that it has are answered', async () => {
    const begun = join(folder, 'begun')
    const name = await load(
      `import { readlinkSync, writeFileSync } from 'node:fs'
       import { setTimeout as pause } from 'node:timers/promises'
       export const infer = async ({ x }) => {
         writeFileSync(${JSON.stringify(begun)}, readlinkSync('/proc/thread-self'))
         await pause(400)
         return { y: x.data }
       }`,
    )
    const answer = infer(name)
    await expect.poll(() => existsSync(begun) && readFileSync(begun, 'utf8'), { interval: 10 }).toBeTruthy()
    const thread = join('/proc', readFileSync(begun, 'utf8'))
    expect(existsSync(thread)).toBe(true)
    expect((await unload(name)).status).toBe(200)
    expect(await answer).toEqual(OK)
    await expect.poll(() => existsSync(thread)).toBe(false)
  })
})

describe('sixteen models', () => {
  it('answer side by side, each with its own state', async () => {
    const before = threads()
    const source = 'let calls = 0; export const infer = () => ({ y: [(calls += 1)] })'
    const names = await Promise.all(Array.from({ length: 16 }, () => load(source)))
    for (const round of [1, 2])
      expect(await Promise.all(names.map((name) => infer(name)))).toEqual(names.map(() => [200, [['y', [round]]]]))
    await Promise.all(names.map(unload))
    await expect.poll(threads).toBeLessThanOrEqual(before)
  })
})

it('a server that was not told to load JavaScript does not, and says how it could', async () => {
  const strict = await startRealModelServer()
  try {
    const files = { 'model.js': sometimes('') }
    strict.addModel('named_1', { document: DOCUMENT, files })
    await expect(strict.load('named_1')).rejects.toThrow('start it with --javascript-models')
    strict.addModel('found_1', { document: { ...DOCUMENT, platform: undefined }, files })
    await expect(strict.load('found_1')).rejects.toThrow('start it with --javascript-models')
  } finally {
    await strict.stop()
  }
})

it('SIGTERM ends a server whose models are busy for ever', async () => {
  const busy = await startRealModelServer('--javascript-models', '--drain-timeout-ms', '200')
  busy.addModel('stuck_1', { document: DOCUMENT, files: { 'model.js': 'export const infer = () => { for (;;) {} }' } })
  await busy.load('stuck_1')
  const inputs = [{ ...scalar('x'), data: [1] }]
  const answer = busy.post('/v2/models/stuck_1/infer', JSON.stringify({ inputs }))
  const refused = expect(answer).rejects.toThrow()
  expect((await busy.post('/v2/repository/index')).status).toBe(200)
  busy.child.kill('SIGTERM')
  expect(await busy.exited()).toBe(0)
  await refused
  await busy.stop()
})
