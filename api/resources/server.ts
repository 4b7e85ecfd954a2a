/** The Server kind: structure and its own rules. Without an orchestrator a Server holds how many replicas are expected. */
import { type Static, Type } from 'typebox'
import { API_VERSION, FreeMapping, MetadataSchema } from './metadata.ts'
import { DataPathSchema, ReplicaCount, scalingRules } from './model.ts'

const closed = { additionalProperties: false } as const
const ClaimPolicy = Type.Union([Type.Literal('Retain'), Type.Literal('Delete')])

export const ServerSpecSchema = Type.Object(
  {
    serverConfig: Type.Optional(Type.String({ minLength: 1 })),
    capabilities: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    extraCapabilities: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    imageOverrides: Type.Optional(FreeMapping),
    podSpec: Type.Optional(FreeMapping),
    statefulSetPersistentVolumeClaimRetentionPolicy: Type.Optional(
      Type.Object({ whenDeleted: Type.Optional(ClaimPolicy), whenScaled: Type.Optional(ClaimPolicy) }, closed),
    ),
    replicas: Type.Optional(ReplicaCount),
    minReplicas: Type.Optional(ReplicaCount),
    maxReplicas: Type.Optional(ReplicaCount),
    deploymentStrategy: Type.Optional(FreeMapping),
    disableAutoUpdate: Type.Optional(Type.Boolean()),
    /** Ours: how requests reach its models that say nothing else; direct when absent. */
    dataPath: Type.Optional(DataPathSchema),
  },
  { ...closed, rules: scalingRules },
)
export type ServerManifestSpec = Readonly<Static<typeof ServerSpecSchema>>

export const ServerSchema = Type.Object(
  {
    apiVersion: Type.Literal(API_VERSION),
    kind: Type.Literal('Server'),
    metadata: MetadataSchema,
    spec: ServerSpecSchema,
    /** Allowed so that what was printed can be applied again; never read. */
    status: Type.Optional(FreeMapping),
  },
  closed,
)

const NEEDS_ORCHESTRATOR = 'is stored, not acted upon without an orchestrator'
const FROM_AGENTS = 'is stored, not acted upon: capabilities are those that the agents declare'

/** What is declared in the spec and does nothing in this version, as `path: why`. */
export function serverWarnings(spec: ServerManifestSpec): readonly string[] {
  const inert: Partial<Record<keyof ServerManifestSpec, string>> = {
    serverConfig: NEEDS_ORCHESTRATOR,
    capabilities: FROM_AGENTS,
    extraCapabilities: FROM_AGENTS,
    imageOverrides: NEEDS_ORCHESTRATOR,
    podSpec: NEEDS_ORCHESTRATOR,
    statefulSetPersistentVolumeClaimRetentionPolicy: NEEDS_ORCHESTRATOR,
    deploymentStrategy: NEEDS_ORCHESTRATOR,
    disableAutoUpdate: NEEDS_ORCHESTRATOR,
  }
  return (Object.keys(inert) as (keyof ServerManifestSpec)[])
    .filter((field) => spec[field] !== undefined)
    .map((field) => `spec.${field}: ${inert[field] ?? ''}`)
}
