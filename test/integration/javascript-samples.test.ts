/** The sample JavaScript models, prepared by the agent as their manifests say, in the real embedded server: what each gives. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toSpecKey } from '../../agent/desired/desired.ts'
import { embeddedLayout } from '../../agent/repository/layouts/embedded.ts'
import { openModelRepository } from '../../agent/repository/model-repository.ts'
import { parseManifests } from '../../api/resources/manifest.ts'
import type { ModelResource } from '../../api/resources/resource.ts'
import { packageRoot } from '../../kit/root.ts'
import { type ModelServerProcess, startRealModelServer } from '../support/model-server-process.ts'

const MANIFESTS = join(packageRoot, 'samples/models')

let server: ModelServerProcess

beforeAll(async () => {
  server = await startRealModelServer('--javascript-models')
  const repository = await openModelRepository({
    folder: server.repository,
    artifactRoots: [join(packageRoot, 'samples')],
    layout: embeddedLayout,
    ingress: { url: 'http://127.0.0.1:9000' },
  })
  for (const { metadata, spec } of javascriptModels()) {
    const version = spec.artifactVersion ?? 1
    const internalName = `${metadata.name}_${String(version)}`
    const wanted = {
      storageUri: spec.storageUri ?? '',
      ...(spec.artifactVersion === undefined ? {} : { artifactVersion: spec.artifactVersion }),
      requirements: spec.requirements ?? [],
      parameters: Object.fromEntries((spec.parameters ?? []).map(({ name, value }) => [name, value])),
    }
    const identity = { internalName, modelName: metadata.name, version, memoryBytes: 1, attempt: 1 }
    await repository.prepare({ ...identity, ...wanted, specKey: toSpecKey(wanted) })
    await server.load(internalName)
  }
})
afterAll(() => server.stop())

function javascriptModels(): ModelResource[] {
  return readdirSync(MANIFESTS)
    .flatMap((name) => parseManifests(readFileSync(join(MANIFESTS, name), 'utf8'), { name, folder: MANIFESTS }))
    .map(({ resource }) => resource)
    .filter((resource): resource is ModelResource => resource.kind === 'Model')
    .filter(({ spec }) => spec.requirements?.includes('javascript') === true)
}

type Values = readonly (number | string | boolean)[]
type Sent = readonly [name: string, datatype: string, shape: readonly number[], data: Values]

interface Answer {
  readonly outputs: readonly { name: string; datatype: string; shape: readonly number[]; data: Values }[]
}

const ask = (model: string, inputs: readonly Sent[]): Promise<Response> => {
  const tensors = inputs.map(([name, datatype, shape, data]) => ({ name, datatype, shape, data }))
  return server.post(`/v2/models/${model}/infer`, JSON.stringify({ inputs: tensors }))
}

/** The outputs as name, datatype, shape, data. */
async function infer(model: string, ...inputs: readonly Sent[]): Promise<readonly Sent[]> {
  const response = await ask(model, inputs)
  if (!response.ok) throw new Error(await response.text())
  const { outputs } = (await response.json()) as Answer
  return outputs.map(({ name, datatype, shape, data }) => [name, datatype, shape, data])
}

const ONE_TO_16 = Array.from({ length: 16 }, (_, index) => index + 1)
const row = (name: string, data: Values): Sent => [name, 'INT32', [1, 16], data]
const floats = (name: string, ...data: number[]): Sent => [name, 'FP32', [data.length], data]
const longs = (name: string, ...data: number[]): Sent => [name, 'INT64', [data.length], data]
const ints = (name: string, ...data: number[]): Sent => [name, 'INT32', [data.length], data]
const flag = (name: string): Sent => [name, 'BOOL', [1], [true]]
const text = (name: string, value: string): Sent => [name, 'BYTES', [1], [value]]

test('add10-flaky adds 10 and fails every fifth request', async () => {
  const statuses: number[] = []
  for (let request = 0; request < 10; request += 1)
    statuses.push((await ask('add10-flaky_1', [floats('INPUT', 1)])).status)
  expect(statuses.filter((status) => status === 200)).toHaveLength(8)
  expect([statuses[4], statuses[9]]).toEqual([500, 500])
})

describe.each(['tfsimple1_1', 'tfsimple2_1', 'tfsimple3_1'])('%s', (model) => {
  test('adds and subtracts: 1 to 16 twice give 2, 4, ... 32 and zeros', async () => {
    const twice = ONE_TO_16.map((value) => 2 * value)
    expect(await infer(model, row('INPUT0', ONE_TO_16), row('INPUT1', ONE_TO_16))).toEqual([
      row('OUTPUT0', twice),
      row('OUTPUT1', Array(16).fill(0)),
    ])
  })

  test('refuses rows of 20, and inputs of different lengths', async () => {
    const long: Sent = ['INPUT0', 'INT32', [1, 20], Array<number>(20).fill(1)]
    const refused = await ask(model, [long, row('INPUT1', ONE_TO_16)])
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('[1,20], must be [-1,16]')])
    const two: Sent = ['INPUT0', 'INT32', [2, 16], [...ONE_TO_16, ...ONE_TO_16]]
    const unequal = await ask(model, [two, row('INPUT1', ONE_TO_16)])
    expect([unequal.status, await unequal.text()]).toEqual([400, expect.stringContaining('must have the same shape')])
  })
})

test('tfsimple1 tells what it takes and gives', async () => {
  const metadata = await (await fetch(`${server.url}/v2/models/tfsimple1_1`)).json()
  const tensor = (name: string) => ({ name, datatype: 'INT32', shape: [-1, 16] })
  expect(metadata).toMatchObject({
    name: 'tfsimple1_1',
    versions: ['1'],
    platform: 'javascript',
    inputs: [tensor('INPUT0'), tensor('INPUT1')],
    outputs: [tensor('OUTPUT0'), tensor('OUTPUT1')],
  })
})

test.each([
  ['add10_1', [11, 12, 13, 14]],
  ['add20_1', [21, 22, 23, 24]],
  ['mul10_1', [10, 20, 30, 40]],
  ['math_1', [11, 12, 13, 14]], // artifactVersion 1
  ['math_2', [10, 20, 30, 40]], // artifactVersion 2
])('%s makes %j of 1, 2, 3, 4', async (model, expected) => {
  expect(await infer(model, floats('INPUT', 1, 2, 3, 4))).toEqual([floats('OUTPUT', ...expected)])
})

test('mul10 gives the bytes that clients of raw contents expect', async () => {
  const raw = await new Promise((resolve, reject) => {
    const request = {
      modelName: 'mul10_1',
      inputs: [{ name: 'INPUT', datatype: 'FP32', shape: [4] }],
      rawInputContents: [Buffer.from(Float32Array.of(1, 2, 3, 4).buffer)],
    }
    server.client.ModelInfer(request, (error, answer) => {
      if (error) reject(error)
      else resolve(answer?.rawOutputContents.map((bytes) => bytes.toString('base64')))
    })
  })
  expect(raw).toEqual(['AAAgQQAAoEEAAPBBAAAgQg=='])
})

test('conditional gives the one output that CHOICE names', async () => {
  const inputs = [floats('INPUT0', 1, 2, 3, 4), floats('INPUT1', 5, 6, 7, 8)]
  expect(await infer('conditional_1', ints('CHOICE', 0), ...inputs)).toEqual([floats('OUTPUT0', 1, 2, 3, 4)])
  expect(await infer('conditional_1', ints('CHOICE', 1), ...inputs)).toEqual([floats('OUTPUT1', 5, 6, 7, 8)])
})

test('check gives its input on, and nothing when a value is beyond 100', async () => {
  expect(await infer('check_1', row('INPUT', ONE_TO_16))).toEqual([row('OUTPUT', ONE_TO_16)])
  expect(await infer('check_1', row('INPUT', ONE_TO_16.with(3, 100)))).toHaveLength(1)
  expect(await infer('check_1', row('INPUT', ONE_TO_16.with(3, -101)))).toEqual([])
})

test('outlier-error gives its input on, and tells the caller when a value is beyond 100', async () => {
  expect(await infer('outlier-error_1', floats('INPUT', 1, -100))).toEqual([floats('OUTPUT', 1, -100)])
  const refused = await ask('outlier-error_1', [floats('INPUT', 1, 101)])
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { error: 'model outlier-error_1: outlier: element 1 of INPUT is 101, beyond the limit of 100' },
  ])
})

test('join-node adds, id1-node and id2-node give on', async () => {
  expect(await infer('join-node_1', longs('INPUT1', 1), longs('INPUT2', 1))).toEqual([longs('OUTPUT1', 2)])
  expect(await infer('id1-node_1', longs('INPUT1', 1))).toEqual([longs('OUTPUT1', 1)])
  expect(await infer('id2-node_1', longs('INPUT1', 7))).toEqual([longs('OUTPUT1', 7)])
})

test('choice1 and choice2 differ by their parameter alone', async () => {
  expect(await infer('choice1_1', ints('choice', 1, 2, 1))).toEqual([
    text('status', 'rows satisfy choice == 1'),
    ints('choice', 1, 1),
  ])
  expect(await infer('choice2_1', ints('choice', 1))).toEqual([text('status', 'no row satisfies choice == 2')])
})

test('counter and identity-loop come from 0 to 10 and stop', async () => {
  let seen = await infer('counter_1', ints('counter', 0))
  expect(seen).toEqual([ints('output', 1), flag('continue')])
  for (let rounds = 1; seen[1]?.[0] === 'continue' && rounds < 20; rounds += 1) {
    const [looped] = await infer('identity-loop_1', ints('input', Number(seen[0]?.[3][0])))
    seen = await infer('counter_1', ints('counter', Number(looped?.[3][0])))
  }
  expect(seen).toEqual([ints('output', 10), flag('stop')])
})
