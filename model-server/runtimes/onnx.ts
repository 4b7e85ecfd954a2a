/**
 * ONNX models by onnxruntime. Its Node binding computes and loads on the calling thread, so it runs in worker threads:
 * health checks and other models are answered while one model computes for a minute. Each model lives in one worker,
 * the one with the fewest models. A worker that dies ends the process, whose supervisor starts it afresh.
 */
import { join } from 'node:path'
import type { LoadedModel, ModelFolder, Runtime } from './runtime.ts'
import { toMetadata } from './onnx-metadata.ts'
import { type OnnxWorker, startOnnxWorker } from './onnx-worker-client.ts'

const ARTIFACT = 'model.onnx'

export interface OnnxOptions {
  readonly workers: number
  readonly threadsPerInference: number
}

export function createOnnxRuntime(options: OnnxOptions): Runtime {
  const workers: { readonly worker: OnnxWorker; models: number }[] = []

  const leastBusy = () => {
    const idle = workers.find((entry) => entry.models === 0)
    if (idle) return idle
    if (workers.length < options.workers) {
      const entry = { worker: startOnnxWorker(options.threadsPerInference), models: 0 }
      workers.push(entry)
      return entry
    }
    return workers.reduce((best, entry) => (entry.models < best.models ? entry : best))
  }

  return {
    platform: 'onnx',
    artifact: ARTIFACT,
    async load(folder) {
      const entry = leastBusy()
      entry.models += 1
      try {
        return await loadModel(entry.worker, folder, () => {
          entry.models -= 1
        })
      } catch (error) {
        entry.models -= 1
        throw error
      }
    },
    async stop() {
      await Promise.all(workers.splice(0).map((entry) => entry.worker.stop()))
    },
  }
}

async function loadModel(worker: OnnxWorker, folder: ModelFolder, closed: () => void): Promise<LoadedModel> {
  const session = await worker.load(join(folder.path, ARTIFACT))
  try {
    const inputs = toMetadata('input', folder.document.inputs, session.inputs)
    const outputs = toMetadata('output', folder.document.outputs, session.outputs)
    return {
      inputs,
      outputs,
      async infer(tensors, outputNames) {
        const feeds = tensors.map((tensor) => ({ ...tensor, name: sourceOf(inputs, tensor.name) }))
        const fetches = outputNames.map((name) => sourceOf(outputs, name))
        const results = await worker.run(session.id, feeds, fetches)
        return results.map((tensor, index) => ({ ...tensor, name: outputNames[index] ?? tensor.name }))
      },
      async close() {
        await worker.release(session.id)
        closed()
      },
    }
  } catch (error) {
    await worker.release(session.id)
    throw error
  }
}

const sourceOf = (tensors: readonly { name: string; source: string }[], name: string): string =>
  tensors.find((tensor) => tensor.name === name)?.source ?? name
