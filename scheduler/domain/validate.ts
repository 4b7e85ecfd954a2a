/** Checks what users send and says everything that is wrong with it at once, with the paths of the resource kinds. */
import {
  kindProblems,
  nameProblem,
  parameterProblems,
  referenceProblem,
  type RuleProblem,
  type ScalingDraft,
  scalingProblems,
  toScaling,
  UNLIMITED_REPLICAS,
} from '../../api/resources/rules.ts'
import { issuesError, type Issue } from '../../kit/errors.ts'
import type { DataPath, DeploymentSpec, KubernetesMeta, ModelSpec, RollingUpdate, ServerDocument } from './documents.ts'

/** A Model as it arrives, from a manifest or from the compatible API, before it is known to be good. */
export interface ModelDraft extends ScalingDraft {
  readonly name: string
  readonly storageUri: string
  readonly artifactVersion?: number
  readonly requirements?: readonly string[]
  readonly memoryBytes?: number | bigint
  readonly server?: string
  readonly parameters?: readonly { readonly name: string; readonly value: string }[]
  readonly secretName?: string
  readonly explainer?: NonNullable<ModelSpec['explainer']>
  readonly llm?: NonNullable<ModelSpec['llm']>
  readonly logPayloads?: boolean
  readonly cleanTopicsOnDelete?: boolean
  readonly streamSpec?: NonNullable<DeploymentSpec['streamSpec']>
  readonly timeoutMs?: number
  readonly dataPath?: DataPath
  readonly rollingUpdate?: RollingUpdate
  readonly labels?: Readonly<Record<string, string>>
  readonly kubernetesMeta?: KubernetesMeta
}

/** A Model that may be applied. */
export interface ModelInput {
  readonly name: string
  readonly spec: ModelSpec
  readonly deployment: DeploymentSpec
  readonly labels: Readonly<Record<string, string>>
  readonly kubernetesMeta?: KubernetesMeta
}

export interface ServerDraft extends ScalingDraft {
  readonly name: string
  readonly shared?: boolean
  /** Absent: nothing is said of it. */
  readonly dataPath?: DataPath
  readonly kubernetesMeta?: KubernetesMeta
  readonly manifest?: Readonly<Record<string, unknown>>
}

/** What a user decides about a server; the document adds the bookkeeping. */
export type ServerInput = Omit<ServerDocument, 'schemaVersion' | 'revision'>

const MAX_MEMORY_BYTES = 0x7fff_ffff_ffff_ffffn
const MAX_TIMEOUT_MS = 0x7fff_ffff

/** Returns the Model with its defaults filled in, or throws one MODEL_SPEC_INVALID that lists every problem. */
export function parseModelDraft(draft: ModelDraft): ModelInput {
  const issues = modelIssues(draft)
  if (issues.length > 0) throw issuesError('MODEL_SPEC_INVALID', `Model ${JSON.stringify(draft.name)}`, issues)
  return toModelInput(draft)
}

/** Returns the Server with its defaults filled in, or throws one SERVER_SPEC_INVALID that lists every problem. */
export function parseServerDraft(draft: ServerDraft): ServerInput {
  const issues = [...nameIssues(draft.name), ...scalingIssues(draft)]
  if (issues.length > 0) throw issuesError('SERVER_SPEC_INVALID', `Server ${JSON.stringify(draft.name)}`, issues)
  const { replicas, minReplicas, maxReplicas } = toScaling(draft)
  return {
    name: draft.name,
    expectedReplicas: replicas,
    minReplicas,
    maxReplicas,
    shared: draft.shared ?? true,
    ...(draft.dataPath === undefined ? {} : { dataPath: draft.dataPath }),
    ...(draft.kubernetesMeta === undefined ? {} : { kubernetesMeta: draft.kubernetesMeta }),
    ...(draft.manifest === undefined ? {} : { manifest: draft.manifest }),
  }
}

/** Everything that is wrong with a Model. */
export function modelIssues(draft: ModelDraft): readonly Issue[] {
  return [
    ...nameIssues(draft.name),
    ...issueIf(draft.storageUri.trim() === '', 'spec.storageUri', 'is empty: name the folder of the artefact'),
    ...wholeNumberIssues('spec.artifactVersion', draft.artifactVersion, 0xffff_ffff),
    ...memoryIssues(draft.memoryBytes),
    ...wholeNumberIssues('spec.timeoutMs', draft.timeoutMs, MAX_TIMEOUT_MS),
    ...scalingIssues(draft),
    ...serverIssues(draft.server),
    ...requirementIssues(draft.requirements ?? []),
    ...parameterIssues(draft.parameters ?? []),
    ...specIssues(kindProblems(draft)),
    ...referenceIssues('spec.explainer', draft.explainer),
    ...issueIf(draft.explainer?.type === '', 'spec.explainer.type', 'is empty: name the kind of explainer'),
    ...referenceIssues('spec.llm', draft.llm),
    ...streamIssues(draft.streamSpec),
  ]
}

/** Everything that is wrong with a scaling triple: min <= replicas <= max. */
export function scalingIssues(draft: ScalingDraft): readonly Issue[] {
  const numbers = (['replicas', 'minReplicas', 'maxReplicas'] as const).flatMap((field) =>
    wholeNumberIssues(`spec.${field}`, draft[field], UNLIMITED_REPLICAS),
  )
  if (numbers.length > 0) return numbers
  return specIssues(scalingProblems(draft))
}

function toModelInput(draft: ModelDraft): ModelInput {
  return {
    name: draft.name,
    spec: {
      storageUri: draft.storageUri.trim(),
      requirements: [...new Set((draft.requirements ?? []).map((requirement) => requirement.trim()))],
      parameters: Object.fromEntries((draft.parameters ?? []).map(({ name, value }) => [name, value])),
      ...(draft.artifactVersion === undefined ? {} : { artifactVersion: draft.artifactVersion }),
      ...(draft.memoryBytes === undefined ? {} : { memoryBytes: Number(draft.memoryBytes) }),
      ...(draft.server === undefined || draft.server === '' ? {} : { server: draft.server }),
      ...(draft.secretName === undefined ? {} : { secretName: draft.secretName }),
      ...(draft.explainer === undefined ? {} : { explainer: draft.explainer }),
      ...(draft.llm === undefined ? {} : { llm: draft.llm }),
    },
    deployment: {
      logPayloads: draft.logPayloads ?? false,
      cleanTopicsOnDelete: draft.cleanTopicsOnDelete ?? false,
      timeoutMs: draft.timeoutMs ?? 0,
      ...toScaling(draft),
      ...(draft.dataPath === undefined ? {} : { dataPath: draft.dataPath }),
      ...(draft.rollingUpdate === undefined ? {} : { rollingUpdate: draft.rollingUpdate }),
      ...(draft.streamSpec === undefined ? {} : { streamSpec: draft.streamSpec }),
    },
    labels: draft.labels ?? {},
    ...(draft.kubernetesMeta === undefined ? {} : { kubernetesMeta: draft.kubernetesMeta }),
  }
}

const issueIf = (wrong: boolean, path: string, message: string): readonly Issue[] => (wrong ? [{ path, message }] : [])

function nameIssues(name: string): readonly Issue[] {
  const problem = nameProblem(name)
  return problem === undefined ? [] : [{ path: 'metadata.name', message: problem }]
}

function serverIssues(server: string | undefined): readonly Issue[] {
  const problem = server === undefined || server === '' ? undefined : nameProblem(server)
  return problem === undefined ? [] : [{ path: 'spec.server', message: problem }]
}

function wholeNumberIssues(path: string, value: number | undefined, max: number): readonly Issue[] {
  return issueIf(
    value !== undefined && !(Number.isInteger(value) && value >= 0 && value <= max),
    path,
    `${String(value)} must be a whole number from 0 to ${String(max)}`,
  )
}

function memoryIssues(memoryBytes: number | bigint | undefined): readonly Issue[] {
  if (memoryBytes === undefined) return []
  const isWhole = typeof memoryBytes === 'bigint' || Number.isInteger(memoryBytes)
  const isWithin = isWhole && memoryBytes >= 0 && BigInt(memoryBytes) <= MAX_MEMORY_BYTES
  return issueIf(
    !isWithin,
    'spec.memory',
    `${String(memoryBytes)} must be a whole number of bytes from 0 to ${String(MAX_MEMORY_BYTES)}`,
  )
}

function requirementIssues(requirements: readonly string[]): readonly Issue[] {
  return requirements.flatMap((requirement, index) =>
    issueIf(requirement.trim() === '', `spec.requirements[${String(index)}]`, 'is empty: remove it'),
  )
}

function parameterIssues(parameters: readonly { readonly name: string }[]): readonly Issue[] {
  const names = parameters.map(({ name }) => name)
  return [
    ...names.flatMap((name, index) =>
      issueIf(name === '', `spec.parameters[${String(index)}].name`, 'is empty: give the parameter a name'),
    ),
    ...specIssues(parameterProblems(names)),
  ]
}

function referenceIssues(
  path: string,
  references: Parameters<typeof referenceProblem>[0] | undefined,
): readonly Issue[] {
  const problem = references === undefined ? undefined : referenceProblem(references)
  return problem === undefined ? [] : [{ path, message: problem }]
}

const specIssues = (problems: readonly RuleProblem[]): readonly Issue[] =>
  problems.map(({ field, message }) => ({ path: `spec.${field}`, message }))

function streamIssues(streamSpec: DeploymentSpec['streamSpec']): readonly Issue[] {
  if (streamSpec === undefined) return []
  return (['inputTopic', 'outputTopic'] as const).flatMap((field) =>
    issueIf(streamSpec[field] === '', `spec.streamSpec.${field}`, 'is empty: name the topic'),
  )
}
