/**
 * An open loop of requests to one pipeline of numbers, REST and gRPC, in which every answer is checked: it must be what the version
 * that it names computes.
 */
import { credentials, Metadata } from '@grpc/grpc-js'
import { Pool } from 'undici'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import type { PipelineResource } from '../../api/resources/resource.ts'
import { until } from './models.ts'
import { type Load, startLoad } from './open-loop.ts'

export interface PipelineLoadOptions {
  readonly ingress: string
  /** Without `.pipeline`. */
  readonly pipeline: string
  /** What each version makes of the input; a version that is not named is wrong. */
  readonly versions: Readonly<Record<string, (input: number) => number>>
  /** REST and gRPC each. */
  readonly ratePerSecond?: number
  /** Default: that of any load. */
  readonly requestDeadlineMs?: number
}

/** What versions of the pipeline are made of, and what they make of a number. */
export const ADD = { steps: ['add10'], compute: (input: number) => input + 10 }
export const ADD_THEN_MULTIPLY = { steps: ['add10', 'mul10'], compute: (input: number) => (input + 10) * 10 }

export const numbersPipeline = (spec: {
  readonly steps: readonly string[]
  readonly execution?: 'direct' | 'topics'
}): PipelineResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Pipeline',
  metadata: { name: 'numbers' },
  spec: {
    steps: spec.steps.map((name, index) => {
      const before = spec.steps[index - 1]
      return before === undefined
        ? { name }
        : { name, inputs: [before], tensorMap: { [`${before}.outputs.OUTPUT`]: 'INPUT' } }
    }),
    output: { steps: spec.steps.slice(-1) },
    ...(spec.execution === undefined ? {} : { dataflow: { execution: spec.execution } }),
  },
})

/** A gateway serves a version when it is told so, a moment after the status says it: then there are no others. */
export const untilServedBy = (load: Pick<Load, 'outcomes'>, version: string): Promise<void> =>
  until(`100 answers of version ${version} alone`, () => {
    const last = load.outcomes.slice(-100)
    return last.length === 100 && last.every(({ servedBy }) => servedBy === version)
  })

/** Each outcome's `servedBy` is the version. */
export function startPipelineLoad(options: PipelineLoadOptions): Load {
  const { ingress, versions } = options
  const pool = new Pool(`http://${ingress}`, { connections: 16, pipelining: 1 })
  const client = new GRPCInferenceService(ingress, credentials.createInsecure(), {
    ...GRPC_OPTIONS,
    'grpc.enable_retries': 0, // a retry by the client would hide what we look for
  })
  let count = 0
  const nextInput = (): number => (count += 1) % 1_000

  function judge(version: string, input: number, output: unknown) {
    const expected = versions[version]?.(input)
    const ok = expected !== undefined && output === expected
    const detail = ok ? '' : `version ${JSON.stringify(version)} made ${String(output)} of ${String(input)}`
    return { ok, status: ok ? '200' : 'wrong', servedBy: version, detail }
  }

  return startLoad({
    ingress,
    model: `${options.pipeline}.pipeline`,
    ratePerSecond: options.ratePerSecond ?? 50,
    ...(options.requestDeadlineMs === undefined ? {} : { requestDeadlineMs: options.requestDeadlineMs }),
    senders: {
      rest: {
        send: async (model, deadlineMs) => {
          const input = nextInput()
          const { statusCode, headers, body } = await pool.request({
            method: 'POST',
            path: `/v2/models/${model}/infer`,
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ inputs: [{ name: 'INPUT', datatype: 'FP32', shape: [1], data: [input] }] }),
            signal: AbortSignal.timeout(deadlineMs),
          })
          const text = await body.text()
          if (statusCode !== 200)
            return { ok: false, status: String(statusCode), servedBy: '', detail: text.slice(0, 300) }
          const { outputs } = JSON.parse(text) as { outputs: { data: number[] }[] }
          return judge(String(headers['x-pipeline-version']), input, outputs[0]?.data[0])
        },
        close: () => pool.close(),
      },
      grpc: {
        send: (model, deadlineMs) =>
          new Promise((resolve) => {
            const metadata = new Metadata()
            metadata.set('seldon-model', model)
            const input = nextInput()
            const inputs = [{ name: 'INPUT', datatype: 'FP32', shape: [1], contents: { fp32Contents: [input] } }]
            let version = ''
            const call = client.modelInfer(
              { modelName: model, inputs },
              metadata,
              { deadline: Date.now() + deadlineMs },
              (error, response) => {
                if (error) {
                  resolve({ ok: false, status: String(error.code), servedBy: '', detail: error.details })
                  return
                }
                const raw = response?.rawOutputContents[0]
                const output = raw?.length === 4 ? raw.readFloatLE(0) : response?.outputs[0]?.contents?.fp32Contents[0]
                resolve(judge(version, input, output))
              },
            )
            call.on('metadata', (headers) => {
              version = String(headers.get('x-pipeline-version').at(-1) ?? '')
            })
          }),
        close: () => {
          client.close()
          return Promise.resolve()
        },
      },
    },
  })
}
