/** The model gateway on a real Kafka: records in, answers and errors out, and nothing lost on the way. */
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GRPCInferenceService } from '../../api/grpc.ts'
import { decodeElements, encodeElements } from '../../api/oip/elements.ts'
import { toGrpcRequest } from '../../api/oip/grpc-inference.ts'
import { decodeResponse } from '../../dataflow/journal/decode.ts'
import type { IncomingRecord } from '../../dataflow/kafka/client.ts'
import { refusal } from '../support/fake-ingress.ts'
import type { FakeSubscription } from '../support/fake-dataflow-scheduler.ts'
import { type ModelGatewayRig, startModelGatewayRig } from '../support/model-gateway-rig.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const ERRORS = 'seldon.default.errors.errors'
const inputsOf = (model: string): string => `seldon.default.model.${model}.inputs`
const outputsOf = (model: string): string => `seldon.default.model.${model}.outputs`

let rig: ModelGatewayRig
let gateway: Awaited<ReturnType<ModelGatewayRig['startGateway']>>
let stream: FakeSubscription
let streams = 0
beforeAll(async () => {
  rig = await startModelGatewayRig()
  rig.ingress.models.set('double', ({ x = [] }) => ({ y: x.map((value) => 2 * value) }))
  await start()
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await rig.stop()
})

async function start(...flags: string[]): Promise<void> {
  gateway = await rig.startGateway('--drain-timeout-ms', '300', ...flags)
  stream = await rig.scheduler.subscription(streams++)
}

async function assign(name: string, generation = 1): Promise<void> {
  stream.send({ unitAssign: { kind: 'MODEL', name, generation } })
  await untilMetric(`millrace_model_gateway_lag_records{model="${name}"}`)
}

const untilMetric = (text: string): Promise<void> => untilMetrics((metrics) => metrics.includes(text))

async function untilMetrics(areSo: (metrics: string) => boolean): Promise<void> {
  while (!areSo(await (await fetch(`${gateway.url}/metrics`)).text())) await pause()
}
async function untilRetries(model: string, count: number): Promise<void> {
  const line = new RegExp(`^millrace_model_gateway_retries_total\\{model="${model}"\\} (\\d+)$`, 'm')
  await untilMetrics((text) => Number(line.exec(text)?.[1]) >= count)
}

const pause = (): Promise<void> => new Promise((done) => setTimeout(done, 20))

const json = (...x: number[]): Buffer =>
  Buffer.from(JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [x.length], data: x }] }))
const valuesOf = ({ value }: IncomingRecord): unknown => {
  const { outputs } = JSON.parse(value.toString()) as { outputs: { data: unknown }[] }
  return outputs[0]?.data
}

describe('records of an assigned model', () => {
  it('are answered in the form that they have, with their key, partition and headers, and the route', async () => {
    await assign('double')
    const tensor = {
      name: 'x',
      datatype: 'FP32',
      shape: [1],
      parameters: {},
      bytes: encodeElements('x', 'FP32', [5]),
    } as const
    const request = toGrpcRequest({ id: 'i', parameters: {}, inputs: [tensor], outputs: [] }, '', 'raw')
    const protobuf = GRPCInferenceService.service.ModelInfer.requestSerialize(request)
    const key = Buffer.from([0xff, 0])
    const headers = [
      ['x-a', '1'],
      ['b', '2'],
      ['x-seldon-route', ':before:'],
      ['x-millrace-gateway', 'g/1'],
    ] as const
    await rig.produce(
      [
        { key, partition: 1, value: json(1, 2), headers },
        { key: 'k', value: protobuf },
      ],
      inputsOf('double'),
    )
    const [second, first] = await rig.read(outputsOf('double'), 2)
    if (first === undefined || second === undefined) throw new Error('unreachable')
    expect([first.rawKey, first.partition, valuesOf(first)]).toEqual([key, 1, [2, 4]])
    expect(first.headers).toEqual([...headers, ['x-millrace-input', '1.0'], ['x-seldon-route', ':double_1:']])
    expect([second.key, second.partition]).toEqual(['k', 0])
    expect(decodeResponse(second.value).outputs.map(decodeElements)).toEqual([[10]])
    const call = rig.ingress.calls.find(({ inputs }) => inputs['x']?.length === 2)
    expect(Object.keys(call?.metadata.getMap() ?? {}).filter((name) => name.startsWith('x-') || name === 'b')).toEqual([
      'x-a',
    ])
  })

  it('that a runner put there, which has asked the model itself, are not answered', async () => {
    rig.ingress.models.set('asked', ({ x = [] }) => ({ y: x }))
    await assign('asked')
    const headers = [['x-millrace-runner', 'direct']] as const
    await rig.produce(
      [
        { key: 'direct', value: json(1), headers },
        { key: 'theirs', value: json(2) },
      ],
      inputsOf('asked'),
    )
    expect((await rig.read(outputsOf('asked'), 1)).map(({ key }) => key)).toEqual(['theirs'])
    await untilMetric('millrace_model_gateway_lag_records{model="asked"} 0')
    expect(rig.ingress.calls.filter(({ model }) => model === 'asked')).toHaveLength(1)
  })

  it('that nobody can read, or that the model refuses, land on the error topic under its name and stop nothing', async () => {
    rig.ingress.models.set('picky', ({ x = [] }) => {
      if (x[0] === 0) throw refusal(status.INVALID_ARGUMENT, 'no zeros')
      return { y: x }
    })
    await assign('picky')
    const values = [Buffer.from('neither'), Buffer.from('{"inputs": 7}'), Buffer.alloc(0), json(0), json(3)]
    await rig.produce(
      values.map((value, index) => ({ key: String(index), value })),
      inputsOf('picky'),
    )
    const [answer] = await rig.read(outputsOf('picky'), 1)
    expect(answer?.key).toBe('4')
    const errors = await rig.read(ERRORS, 4)
    expect(errors.map(({ key }) => key).toSorted()).toEqual(['0', '1', '2', '3'])
    for (const { headers } of errors) expect(headers).toContainEqual(['seldon-pipeline-errors', 'picky'])
    expect(errors.find(({ key }) => key === '3')?.value.toString()).toBe('no zeros')
    await untilMetric('millrace_model_gateway_records_total{model="picky",outcome="poison"} 3')
    await untilMetric('millrace_model_gateway_records_total{model="picky",outcome="failed"} 1')
  })

  it('wait while the model is not there, and only they; when it waited too long a record is an error', async () => {
    await assign('late')
    await rig.produce(
      [1, 2, 3].map((x) => ({ key: `late${String(x)}`, value: json(x) })),
      inputsOf('late'),
    )
    await untilRetries('late', 4)
    await untilMetric('millrace_model_gateway_lag_records{model="late"} 3')
    await rig.produce([{ key: 'other', value: json(9) }], inputsOf('double'))
    expect((await rig.read(outputsOf('double'), 3)).map(({ key }) => key)).toContain('other')
    rig.ingress.models.set('late', ({ x = [] }) => ({ y: x }))
    const answers = await rig.read(outputsOf('late'), 3)
    expect(new Map(answers.map((answer) => [answer.key, valuesOf(answer)]))).toEqual(
      new Map([1, 2, 3].map((x) => [`late${String(x)}`, [x]])),
    )
    expect((await rig.read(ERRORS, 4)).filter(({ key }) => key.startsWith('late'))).toEqual([])
    await gateway.stop()
    await start('--max-wait-ms', '10')
    await assign('never')
    await rig.produce([{ key: 'never', value: json(1) }], inputsOf('never'))
    expect((await rig.read(ERRORS, 5)).at(-1)?.key).toBe('never')
  })

  it('are somebody else’s once the model was taken away, from the first that was not done; and go on without a scheduler', async () => {
    let letGo = (): void => undefined
    const held = new Promise<void>((resolve) => {
      letGo = resolve
    })
    rig.ingress.models.set('slow', async ({ x = [] }) => {
      if (x[0] === 2) await held
      return { y: x }
    })
    await assign('slow', 4)
    await rig.produce(
      [1, 2, 3].map((x) => ({ key: String(x), value: json(x) })),
      inputsOf('slow'),
    )
    await rig.read(outputsOf('slow'), 2) // 1 and 3
    stream.send({ unitRevoke: { kind: 'MODEL', name: 'slow', generation: 3, gone: false } }) // of long ago
    stream.send({ unitRevoke: { kind: 'MODEL', name: 'slow', generation: 4, gone: false } })
    await rig.scheduler.until('the release', () => stream.released.includes('slow'))
    expect(stream.released).toEqual(['slow'])
    letGo()
    await assign('slow', 5)
    const keys = (await rig.read(outputsOf('slow'), '2')).map(({ key }) => key)
    expect(keys.toSorted()).toEqual(['1', '2', '3']) // 3 was answered, not committed before 2, and known all the same
    await rig.scheduler.kill()
    await gateway.stop()
    gateway = await rig.startGateway('--drain-timeout-ms', '300')
    await rig.produce([{ key: 'alone', value: json(7) }], inputsOf('slow'))
    expect((await rig.read(outputsOf('slow'), 'alone')).filter(({ key }) => key === '2')).toHaveLength(1)
  })
})
