/** One loaded model: checks requests against its metadata, bounds them, and turns failures into ours. */
import type { InferenceRequest, InferenceResponse } from '../api/oip/inference.ts'
import type { ModelMetadata } from '../api/oip/metadata.ts'
import { NO_PARAMETERS } from '../api/oip/parameters.ts'
import { checkRequest } from '../api/oip/validate.ts'
import { ServingError } from '../kit/errors.ts'
import { type AdmissionLimits, createAdmission } from './admission.ts'
import type { LoadedModel } from './runtimes/runtime.ts'

export interface Model {
  readonly metadata: ModelMetadata
  /** @throws ServingError TENSOR_INVALID, SERVER_OVERLOADED, CANCELLED, INFERENCE_FAILED */
  infer(request: InferenceRequest, signal: AbortSignal): Promise<InferenceResponse>
  /** Frees the model once the requests that it has are answered. */
  closeWhenIdle(): Promise<void>
}

export function createModel(
  description: Pick<ModelMetadata, 'name' | 'platform' | 'parameters'>,
  executed: LoadedModel,
  limits: AdmissionLimits,
): Model {
  const { name } = description
  const version = versionOf(name)
  const metadata: ModelMetadata = {
    ...description,
    versions: version === '' ? [] : [version],
    inputs: executed.inputs,
    outputs: executed.outputs,
  }
  const admission = createAdmission(limits, `model ${name}`)
  const allOutputs = metadata.outputs.map((output) => output.name)

  const execute = async (request: InferenceRequest, signal: AbortSignal) => {
    const outputNames = request.outputs.length === 0 ? allOutputs : request.outputs.map((output) => output.name)
    try {
      return await executed.infer(request.inputs, outputNames, signal)
    } catch (error) {
      if (error instanceof ServingError) throw error
      const reason = error instanceof Error ? error.message : String(error)
      throw new ServingError('INFERENCE_FAILED', `model ${name} failed: ${reason}`, { cause: error })
    }
  }

  return {
    metadata,
    async infer(request, signal) {
      checkRequest(request, metadata)
      const outputs = await admission.run(signal, () => execute(request, signal))
      return { modelName: name, modelVersion: version, id: request.id, parameters: NO_PARAMETERS, outputs }
    },
    async closeWhenIdle() {
      await admission.idle()
      await executed.close()
    },
  }
}

/** `iris_3` is version 3 of iris; a name without a version has none. */
export function versionOf(internalName: string): string {
  return /_(\d+)$/.exec(internalName)?.[1] ?? ''
}
