/**
 * The embedded model server with models that misbehave on purpose: the same REST, gRPC, repository and process as the
 * real one (and its ONNX models too), plus the platform `test`, whose `model.json` says what the model does:
 *
 *     { "platform": "test", "behaviour": { "kind": "echo" } }
 *
 * Every model takes `predict` FP32 [-1,4] and gives `model` BYTES [1], its internal name, unless `model.json` says else.
 * Run it as the real one: node dist/test/support/test-model-server.js --rest-port 0 --grpc-port 0 --repository F
 */
import { existsSync } from 'node:fs'
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { TensorMetadata } from '../../api/oip/metadata.ts'
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import { joinBytesElements } from '../../api/oip/tensor.ts'
import { pause } from '../../kit/backoff.ts'
import { type ErrorCode, ServingError } from '../../kit/errors.ts'
import { main } from '../../model-server/main.ts'
import { createOnnxRuntime } from '../../model-server/runtimes/onnx.ts'
import type { Runtime } from '../../model-server/runtimes/runtime.ts'

const ms = Type.Integer({ minimum: 0 })
const behaviour = Type.Union([
  /** Answers at once. */
  Type.Object({ kind: Type.Literal('echo') }),
  /** Answers after so long; with `whileThereIs`, at once while there is no such file. */
  Type.Object({ kind: Type.Literal('sleep'), ms, whileThereIs: Type.Optional(Type.String()) }),
  /** Answers every inference with this status, or every so-manieth. */
  Type.Object({
    kind: Type.Literal('fail'),
    status: Type.Integer(),
    every: Type.Optional(Type.Integer({ minimum: 1 })),
  }),
  /** Cannot be loaded; with `times`, from then on it can. */
  Type.Object({ kind: Type.Literal('refuse-load'), times: Type.Optional(ms) }),
  /** Is loaded after so long. */
  Type.Object({ kind: Type.Literal('slow-load'), ms }),
  /** Takes the whole process down at the first inference. */
  Type.Object({ kind: Type.Literal('crash') }),
])
export type Behaviour = Static<typeof behaviour>

const INPUTS: readonly TensorMetadata[] = [
  { name: 'predict', datatype: 'FP32', shape: [-1, 4], parameters: NO_PARAMETERS },
]
const OUTPUTS: readonly TensorMetadata[] = [{ name: 'model', datatype: 'BYTES', shape: [1], parameters: NO_PARAMETERS }]
const CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'TENSOR_INVALID',
  404: 'MODEL_NOT_FOUND',
  429: 'SERVER_OVERLOADED',
  500: 'INFERENCE_FAILED',
  503: 'SERVER_UNAVAILABLE',
}

function createTestRuntime(): Runtime {
  const refusals = new Map<string, number>()
  const stopping = new AbortController()

  const beforeLoaded = async (name: string, wanted: Behaviour): Promise<void> => {
    if (wanted.kind === 'slow-load') await pause(wanted.ms, stopping.signal)
    if (wanted.kind !== 'refuse-load') return
    const refused = (refusals.get(name) ?? 0) + 1
    refusals.set(name, refused)
    if (refused <= (wanted.times ?? Infinity)) throw new Error(`refused on purpose, time ${String(refused)}`)
  }

  const beforeAnswer = async (wanted: Behaviour, count: number, signal: AbortSignal): Promise<void> => {
    if (wanted.kind === 'sleep' && (wanted.whileThereIs === undefined || existsSync(wanted.whileThereIs)))
      await pause(wanted.ms, AbortSignal.any([signal, stopping.signal]))
    if (wanted.kind === 'fail' && count % (wanted.every ?? 1) === 0)
      throw new ServingError(
        CODES[wanted.status] ?? 'INFERENCE_FAILED',
        `failed on purpose with ${String(wanted.status)}`,
      )
    if (wanted.kind === 'crash') process.kill(process.pid, 'SIGKILL')
  }

  return {
    platform: 'test',
    artifact: 'model.test',
    async load({ internalName, document }) {
      const wanted = Value.Parse(behaviour, document.raw['behaviour'] ?? { kind: 'echo' })
      await beforeLoaded(internalName, wanted)
      let inferences = 0
      return {
        inputs: document.inputs ?? INPUTS,
        outputs: document.outputs ?? OUTPUTS,
        async infer(_, outputNames, signal) {
          inferences += 1
          await beforeAnswer(wanted, inferences, signal)
          const bytes = joinBytesElements([Buffer.from(internalName)])
          return outputNames.map((name) => ({ name, datatype: 'BYTES', shape: [1], parameters: NO_PARAMETERS, bytes }))
        },
        close: () => Promise.resolve(),
      }
    },
    stop() {
      stopping.abort()
      return Promise.resolve()
    },
  }
}

await main(process.argv.slice(2), (config) => [
  createTestRuntime(),
  createOnnxRuntime({ workers: config.onnxWorkers, threadsPerInference: config.onnxThreads }),
])
