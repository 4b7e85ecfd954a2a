/** The Model kind: structure, and the rules that need nothing but the manifest. */
import { type Static, Type } from 'typebox'
import { API_VERSION, FreeMapping, MetadataSchema, NameSchema } from './metadata.ts'
import { parseQuantity, type Quantity } from './quantity.ts'
import {
  kindProblems,
  parameterProblems,
  referenceProblem,
  rollingUpdateProblems,
  type RuleProblem,
  scalingProblems,
} from './rules.ts'

const closed = { additionalProperties: false } as const
const MAX_UINT32 = 0xffff_ffff
const MAX_INT32 = 0x7fff_ffff
/** The longest a timer can wait: 24.8 days. */
const MAX_TIMEOUT_MS = MAX_INT32

/** Ours: from Envoy straight to the model server, or through the reverse proxy of the agent beside it. */
export const DataPathSchema = Type.Union([Type.Literal('direct'), Type.Literal('agent')])

export const ReplicaCount = Type.Integer({ minimum: 0, maximum: MAX_INT32 })

type Fields = Readonly<Record<string, unknown>>

/** The scaling rule, once each of the three is absent or a whole number. */
export function scalingRules(spec: Fields): readonly RuleProblem[] {
  const triple = Object.fromEntries(
    ['replicas', 'minReplicas', 'maxReplicas'].filter((key) => spec[key] !== undefined).map((key) => [key, spec[key]]),
  )
  return Object.values(triple).every((count) => Number.isSafeInteger(count)) ? scalingProblems(triple) : []
}

function modelRules(spec: Fields): readonly RuleProblem[] {
  const parameters: unknown = spec['parameters']
  const names = Array.isArray(parameters) ? parameters.map((parameter) => (parameter as Fields | null)?.['name']) : []
  return [...scalingRules(spec), ...kindProblems(spec), ...parameterProblems(names), ...rollingUpdateProblems(spec)]
}

/** A reference to a model or a pipeline, not to both. */
const oneReference = {
  ...closed,
  refusal: (value: unknown) =>
    typeof value === 'object' && value !== null ? referenceProblem(value as Fields) : undefined,
}

const QuantitySchema = Type.Unsafe<Quantity>({
  refusal: (value: unknown): string | undefined => {
    if (typeof value !== 'string' && typeof value !== 'number')
      return `must be a quantity of bytes (100Ki, 1.5Gi, 334e6, 1G or a number), not ${JSON.stringify(value)}`
    const result = parseQuantity(value)
    return result.kind === 'invalid' ? `${JSON.stringify(value)} ${result.reason}` : undefined
  },
})

const CountOrShare = Type.Union([ReplicaCount, Type.String({ pattern: '^(100|[1-9]?[0-9])%$' })])

export const ModelSpecSchema = Type.Object(
  {
    storageUri: Type.String({ minLength: 1 }),
    modelType: Type.Optional(Type.String({ minLength: 1 })),
    artifactVersion: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_UINT32 })),
    schemaUri: Type.Optional(Type.String()),
    secretName: Type.Optional(Type.String()),
    requirements: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    memory: Type.Optional(QuantitySchema),
    replicas: Type.Optional(ReplicaCount),
    minReplicas: Type.Optional(ReplicaCount),
    maxReplicas: Type.Optional(ReplicaCount),
    server: Type.Optional(NameSchema),
    preloaded: Type.Optional(Type.Boolean()),
    dedicated: Type.Optional(Type.Boolean()),
    logger: Type.Optional(Type.Object({ percent: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })) }, closed)),
    explainer: Type.Optional(
      Type.Object(
        {
          type: Type.String({ minLength: 1 }),
          modelRef: Type.Optional(Type.String({ minLength: 1 })),
          pipelineRef: Type.Optional(Type.String({ minLength: 1 })),
        },
        oneReference,
      ),
    ),
    llm: Type.Optional(
      Type.Object(
        {
          modelRef: Type.Optional(Type.String({ minLength: 1 })),
          pipelineRef: Type.Optional(Type.String({ minLength: 1 })),
        },
        oneReference,
      ),
    ),
    parameters: Type.Optional(
      Type.Array(Type.Object({ name: Type.String({ minLength: 1 }), value: Type.String() }, closed)),
    ),
    dataflow: Type.Optional(Type.Object({ cleanTopicsOnDelete: Type.Optional(Type.Boolean()) }, closed)),
    /** Ours: how long one request may take at Envoy; 0, the default, is for ever. */
    timeoutMs: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_TIMEOUT_MS })),
    /** Ours: how requests reach it; its server's dataPath when absent. */
    dataPath: Type.Optional(DataPathSchema),
    /** Ours: an update goes replica by replica; all at once when absent. Counts, or shares as 25%, the default of both. */
    rollingUpdate: Type.Optional(
      Type.Object({ maxSurge: Type.Optional(CountOrShare), maxUnavailable: Type.Optional(CountOrShare) }, closed),
    ),
  },
  { ...closed, rules: modelRules },
)
export type ModelManifestSpec = Readonly<Static<typeof ModelSpecSchema>>

export const ModelSchema = Type.Object(
  {
    apiVersion: Type.Literal(API_VERSION),
    kind: Type.Literal('Model'),
    metadata: MetadataSchema,
    spec: ModelSpecSchema,
    /** Allowed so that what was printed can be applied again; never read. */
    status: Type.Optional(FreeMapping),
  },
  closed,
)

/** The memory that one replica needs, exactly; undefined when the manifest leaves it to the artefact's size. */
export function memoryBytesOf(spec: ModelManifestSpec): number | undefined {
  if (spec.memory === undefined) return undefined
  const result = parseQuantity(spec.memory)
  return result.kind === 'bytes' ? result.bytes : undefined // a parsed spec has no invalid quantity
}

/** Every tag that a server must have: the requirements, and the model type as one more. */
export function requirementsOf(spec: ModelManifestSpec): readonly string[] {
  return [...new Set([...(spec.requirements ?? []), ...(spec.modelType === undefined ? [] : [spec.modelType])])]
}

/** What is declared in the spec and does nothing in this version, as `path: why`. */
export function modelWarnings(spec: ModelManifestSpec): readonly string[] {
  const inert: Partial<Record<keyof ModelManifestSpec, string>> = {
    schemaUri: 'is not used',
    secretName: 'is stored, not used: artefacts are read from local paths only',
    maxReplicas: 'bounds replicas; models are not scaled automatically',
    preloaded: 'is not used',
    dedicated: 'is not used',
    logger: 'is stored; payloads are not logged',
    dataflow: 'is stored, not acted upon: the topics of a model are kept',
  }
  const declared = (Object.keys(inert) as (keyof ModelManifestSpec)[]).filter((field) => spec[field] !== undefined)
  const percent = spec.logger?.percent === undefined ? [] : ['spec.logger.percent: is not used']
  return [...declared.map((field) => `spec.${field}: ${inert[field] ?? ''}`), ...percent]
}
