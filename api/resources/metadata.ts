import { type Static, Type } from 'typebox'
import { nameProblem } from './rules.ts'

export const API_VERSION = 'mlops.seldon.io/v1alpha1'

const StringMap = Type.Record(Type.String(), Type.String())
/** A mapping that is kept or dropped as it is. */
export const FreeMapping = Type.Record(Type.String(), Type.Unknown())
const closed = { additionalProperties: false } as const

/** The name of a resource. */
export const NameSchema = Type.String({
  refusal: (value: unknown) => (typeof value === 'string' ? nameProblem(value) : undefined),
})

/** Kubernetes metadata: what a user writes, and what a cluster adds to what it prints. */
export const MetadataSchema = Type.Object(
  {
    name: NameSchema,
    namespace: Type.Optional(Type.String({ minLength: 1 })),
    labels: Type.Optional(StringMap),
    annotations: Type.Optional(StringMap),
    /** Counts the changes of the spec; set by the scheduler, or by Kubernetes. */
    generation: Type.Optional(Type.Integer({ minimum: 0 })),
    creationTimestamp: Type.Optional(Type.Unknown()),
    deletionTimestamp: Type.Optional(Type.Unknown()),
    deletionGracePeriodSeconds: Type.Optional(Type.Unknown()),
    finalizers: Type.Optional(Type.Unknown()),
    generateName: Type.Optional(Type.Unknown()),
    managedFields: Type.Optional(Type.Unknown()),
    ownerReferences: Type.Optional(Type.Unknown()),
    resourceVersion: Type.Optional(Type.Unknown()),
    selfLink: Type.Optional(Type.Unknown()),
    uid: Type.Optional(Type.Unknown()),
  },
  closed,
)
export type Metadata = Readonly<Static<typeof MetadataSchema>>
