/** Models as the compatible API sends them, and as it gives them back. Pure. */
import type { KubernetesMeta__Output as KubernetesMetaMessage } from '../../api/generated/seldon/mlops/scheduler/KubernetesMeta.ts'
import type {
  Model as ModelMessage,
  Model__Output as ModelInputMessage,
} from '../../api/generated/seldon/mlops/scheduler/Model.ts'
import type { ModelSpec__Output as ModelSpecMessage } from '../../api/generated/seldon/mlops/scheduler/ModelSpec.ts'
import { ServingError } from '../../kit/errors.ts'
import { UNLIMITED_REPLICAS } from '../../api/resources/rules.ts'
import type { KubernetesMeta, ModelDocument, ModelSpec, VersionDocument } from '../domain/documents.ts'
import type { ModelDraft } from '../domain/validate.ts'

/** @throws ServingError for what cannot even be read as a model; everything else `parseModelDraft` says. */
export function toModelDraft(message: ModelInputMessage | null): ModelDraft {
  const name = message?.meta?.name ?? ''
  if (!message?.modelSpec)
    throw new ServingError('MODEL_SPEC_INVALID', `model ${JSON.stringify(name)} has no modelSpec: say what to load`)
  const { modelSpec, deploymentSpec, streamSpec, dataflowSpec, meta } = message
  const { kubernetesMeta } = meta ?? {}
  return {
    name,
    ...toSpecDraft(modelSpec),
    ...(deploymentSpec ? toScalingDraft(deploymentSpec) : {}),
    logPayloads: deploymentSpec?.logPayloads ?? false,
    cleanTopicsOnDelete: dataflowSpec?.cleanTopicsOnDelete ?? false,
    ...(streamSpec ? { streamSpec: { inputTopic: streamSpec.inputTopic, outputTopic: streamSpec.outputTopic } } : {}),
    ...(kubernetesMeta ? { kubernetesMeta: toKubernetesMeta(kubernetesMeta) } : {}),
  }
}

function toSpecDraft(spec: ModelSpecMessage) {
  const { storageConfig, explainer, llm } = spec
  if (storageConfig?.config === 'storageRcloneConfig')
    throw new ServingError(
      'UNIMPLEMENTED',
      'modelSpec.storageConfig.storageRcloneConfig: remote storage is not there yet',
    )
  return {
    storageUri: spec.uri,
    requirements: spec.requirements,
    parameters: spec.parameters,
    // The presence markers tell an absent field from a zero.
    ...(spec._artifactVersion && spec.artifactVersion !== undefined ? { artifactVersion: spec.artifactVersion } : {}),
    ...(spec._memoryBytes && spec.memoryBytes !== undefined ? { memoryBytes: BigInt(spec.memoryBytes) } : {}),
    ...(spec._server && spec.server ? { server: spec.server } : {}),
    ...(storageConfig?.storageSecretName ? { secretName: storageConfig.storageSecretName } : {}),
    ...(spec.modelSpec === 'explainer' && explainer
      ? { explainer: { type: explainer.type, ...toReferences(explainer) } }
      : {}),
    ...(spec.modelSpec === 'llm' && llm ? { llm: toReferences(llm) } : {}),
  }
}

const toReferences = (message: { readonly modelRef?: string; readonly pipelineRef?: string }) => ({
  ...(message.modelRef ? { modelRef: message.modelRef } : {}),
  ...(message.pipelineRef ? { pipelineRef: message.pipelineRef } : {}),
})

/** These numbers have no presence on the wire: zero replicas beside a minimum means "not said". */
export function toScalingDraft(message: {
  readonly replicas: number
  readonly minReplicas: number
  readonly maxReplicas: number
}) {
  const said = message.replicas > 0 || message.minReplicas === 0
  return {
    minReplicas: message.minReplicas,
    maxReplicas: message.maxReplicas,
    ...(said ? { replicas: message.replicas } : {}),
  }
}

export const toKubernetesMeta = (message: KubernetesMetaMessage): KubernetesMeta => ({
  namespace: message.namespace,
  generation: Number(message.generation),
})

/** The definition of a version as clients sent it. */
export function toModelMessage(model: ModelDocument, version: VersionDocument): ModelMessage {
  const { deployment } = model
  return {
    meta: { name: model.name, ...(version.kubernetesMeta ? { kubernetesMeta: version.kubernetesMeta } : {}) },
    modelSpec: toSpecMessage(version.spec),
    deploymentSpec: {
      replicas: deployment.replicas,
      minReplicas: deployment.minReplicas,
      maxReplicas: deployment.maxReplicas === UNLIMITED_REPLICAS ? 0 : deployment.maxReplicas,
      logPayloads: deployment.logPayloads,
    },
    ...(deployment.streamSpec ? { streamSpec: deployment.streamSpec } : {}),
    dataflowSpec: { cleanTopicsOnDelete: deployment.cleanTopicsOnDelete },
  }
}

function toSpecMessage(spec: ModelSpec): NonNullable<ModelMessage['modelSpec']> {
  return {
    uri: spec.storageUri,
    requirements: [...spec.requirements],
    parameters: Object.entries(spec.parameters).map(([name, value]) => ({ name, value })),
    ...(spec.artifactVersion === undefined ? {} : { artifactVersion: spec.artifactVersion }),
    ...(spec.memoryBytes === undefined ? {} : { memoryBytes: spec.memoryBytes }),
    ...(spec.server === undefined ? {} : { server: spec.server }),
    ...(spec.secretName === undefined ? {} : { storageConfig: { storageSecretName: spec.secretName } }),
    ...(spec.explainer === undefined ? {} : { explainer: spec.explainer }),
    ...(spec.llm === undefined ? {} : { llm: spec.llm }),
  }
}
