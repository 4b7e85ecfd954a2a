/**
 * The Pipeline kind: structure only. What the references of its steps mean, and whether they can be, is checked by
 * `dataflow/plan/validate.ts`.
 */
import { type Static, Type } from 'typebox'
import type { DeepReadonly } from './deep-readonly.ts'
import { API_VERSION, FreeMapping, MetadataSchema } from './metadata.ts'

const closed = { additionalProperties: false } as const
const MAX_UINT32 = 0xffff_ffff
/** The longest a timer can wait: 24.8 days. */
const MAX_MS = 0x7fff_ffff

/** inner: all; outer: all, or what is there at the end of the window; any: the first. */
const Join = Type.Union([Type.Literal('inner'), Type.Literal('outer'), Type.Literal('any')])
const Reference = Type.String()
const References = Type.Array(Reference)
const Window = Type.Integer({ minimum: 0, maximum: MAX_MS })
const TensorMap = Type.Record(Type.String(), Type.String())

/** Calls of several requests go to the model as one. */
const Batch = Type.Object(
  {
    /** In rows. */
    size: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_UINT32 })),
    /** 20 ms when absent. */
    windowMs: Type.Optional(Window),
    /** The window begins anew with each request that comes. */
    rolling: Type.Optional(Type.Boolean()),
  },
  closed,
)

const Step = Type.Object(
  {
    /** Of a model. */
    name: Type.String(),
    inputs: Type.Optional(References),
    joinWindowMs: Type.Optional(Window),
    tensorMap: Type.Optional(TensorMap),
    triggers: Type.Optional(References),
    inputsJoinType: Type.Optional(Join),
    triggersJoinType: Type.Optional(Join),
    batch: Type.Optional(Batch),
  },
  closed,
)

const Input = Type.Object(
  {
    externalInputs: Type.Optional(References),
    externalTriggers: Type.Optional(References),
    joinWindowMs: Type.Optional(Window),
    joinType: Type.Optional(Join),
    triggersJoinType: Type.Optional(Join),
    tensorMap: Type.Optional(TensorMap),
  },
  closed,
)

const Output = Type.Object(
  {
    steps: References,
    joinWindowMs: Type.Optional(Window),
    stepsJoin: Type.Optional(Join),
    tensorMap: Type.Optional(TensorMap),
  },
  closed,
)

const Dataflow = Type.Object(
  {
    cleanTopicsOnDelete: Type.Optional(Type.Boolean()),
    /** direct when absent: one process runs the whole request. `topics`: every edge goes through Kafka, as the reference does it. */
    execution: Type.Optional(Type.Union([Type.Literal('direct'), Type.Literal('topics')])),
    /** What becomes of a call whose gateway died: an error record, or it runs again. `error` when absent. */
    recovery: Type.Optional(Type.Union([Type.Literal('error'), Type.Literal('rerun')])),
    /** Which edges are written to Kafka; all when absent and there is a Kafka. */
    record: Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('boundary'), Type.Literal('all')])),
    /** What an answer waits for; input when absent. */
    wait: Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('input'), Type.Literal('all')])),
    /** fail-closed when absent. */
    onJournalFailure: Type.Optional(Type.Union([Type.Literal('fail-closed'), Type.Literal('fail-open')])),
  },
  closed,
)

export const PipelineSpecSchema = Type.Object(
  {
    steps: Type.Array(Step),
    input: Type.Optional(Input),
    output: Type.Optional(Output),
    dataflow: Type.Optional(Dataflow),
    allowCycles: Type.Optional(Type.Boolean()),
    maxStepRevisits: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_UINT32 })),
    /** Ours: until when a request must be answered; 60 s when absent. */
    timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_MS })),
  },
  closed,
)
export type PipelineSpec = DeepReadonly<Static<typeof PipelineSpecSchema>>

export const PipelineSchema = Type.Object(
  {
    apiVersion: Type.Literal(API_VERSION),
    kind: Type.Literal('Pipeline'),
    metadata: MetadataSchema,
    spec: PipelineSpecSchema,
    /** Allowed so that what was printed can be applied again; never read. */
    status: Type.Optional(FreeMapping),
  },
  closed,
)
