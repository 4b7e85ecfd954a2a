/** JavaScript models in a whole mesh: applied from the sample manifests, asked by REST and gRPC through Envoy. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseManifests } from '../../api/resources/manifest.ts'
import { infer, type Protocol, PROTOCOLS } from '../../cli/client/infer-client.ts'
import { packageRoot } from '../../kit/root.ts'
import { JAVASCRIPT_MODELS_FLAGS } from '../../up/servers/javascript-models.ts'
import { untilModel, untilAvailable } from '../support/models.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({
    replicas: 1,
    modelServerFlags: JAVASCRIPT_MODELS_FLAGS.modelServer,
    agentFlags: JAVASCRIPT_MODELS_FLAGS.agent,
  })
})
afterAll(() => mesh.stop())

const folder = join(packageRoot, 'samples/models')

async function apply(file: string): Promise<void> {
  const text = readFileSync(join(folder, file), 'utf8')
  for (const { resource } of parseManifests(text, { name: file, folder })) await mesh.admin.apply(resource)
}

interface Answer {
  readonly model_name: string
  readonly outputs: readonly { readonly name: string; readonly data: readonly unknown[] }[]
}

/** Which version answered, and its outputs by name. */
async function ask(protocol: Protocol, model: string, inputs: readonly object[]): Promise<readonly [string, object]> {
  const request = JSON.stringify({ inputs })
  const ingress = new URL(`http://${mesh.ingress}`)
  const { response } = await infer(protocol, { ingress, model, request, headers: {}, timeoutMs: 10_000 })
  const answer = JSON.parse(response) as Answer
  return [answer.model_name, Object.fromEntries(answer.outputs.map(({ name, data }) => [name, data]))]
}

const floats = (name: string, ...data: number[]) => ({ name, datatype: 'FP32', shape: [data.length], data })

test('tfsimple1 adds and subtracts, by REST and gRPC', async () => {
  await apply('tfsimple1.yaml')
  await untilAvailable(mesh.admin, 'tfsimple1')
  const row = Array.from({ length: 16 }, (_, index) => index + 1)
  const inputs = ['INPUT0', 'INPUT1'].map((name) => ({ name, datatype: 'INT32', shape: [1, 16], data: row }))
  const sums = { OUTPUT0: row.map((value) => 2 * value), OUTPUT1: row.map(() => 0) }
  for (const protocol of PROTOCOLS) expect(await ask(protocol, 'tfsimple1', inputs)).toEqual(['tfsimple1_1', sums])
})

test('math moves from version 1 of its artefact to version 2', async () => {
  await apply('multi-version-1.yaml')
  await untilAvailable(mesh.admin, 'math')
  for (const protocol of PROTOCOLS)
    expect(await ask(protocol, 'math', [floats('INPUT', 1, 2, 3, 4)])).toEqual(['math_1', { OUTPUT: [11, 12, 13, 14] }])
  await apply('multi-version-2.yaml')
  await untilModel(mesh.admin, 'math', (status) => status.state === 'ModelAvailable' && status.servingVersion === 2)
  for (const protocol of PROTOCOLS)
    expect(await ask(protocol, 'math', [floats('INPUT', 1, 2, 3, 4)])).toEqual(['math_2', { OUTPUT: [10, 20, 30, 40] }])
})

test('the parameters of a manifest reach the model, and what it refuses reaches the caller', async () => {
  await apply('choice2.yaml')
  await apply('outlier-error.yaml')
  await untilAvailable(mesh.admin, 'choice2')
  await untilAvailable(mesh.admin, 'outlier-error')
  const choice = { name: 'choice', datatype: 'INT32', shape: [2], data: [1, 2] }
  for (const protocol of PROTOCOLS) {
    const [, outputs] = await ask(protocol, 'choice2', [choice])
    expect(outputs).toMatchObject({ choice: [2] })
    await expect(ask(protocol, 'outlier-error', [floats('INPUT', 101)])).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining('element 0 of INPUT is 101, beyond the limit of 100') as string,
    })
  }
})
