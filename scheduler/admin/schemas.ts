/** The API's shapes, for its OpenAPI document. What is sent in is checked by the schemas of `api/resources`. */
import { type TSchema, Type } from 'typebox'
import { FreeMapping, MetadataSchema, API_VERSION } from '../../api/resources/metadata.ts'
import { ExperimentSchema, ExperimentSpecSchema } from '../../api/resources/experiment.ts'
import { ModelSchema, ModelSpecSchema } from '../../api/resources/model.ts'
import { PipelineSchema, PipelineSpecSchema } from '../../api/resources/pipeline.ts'
import { ServerSchema } from '../../api/resources/server.ts'
import { WORKER_ROLES } from '../../api/resources/worker.ts'
import type { Kind } from '../../api/resources/resource.ts'

/** Without what only our own checks understand. */
export const plain = (schema: TSchema): TSchema => JSON.parse(JSON.stringify(schema)) as TSchema

const Text = Type.String()
const Count = Type.Integer()
const Lag = Type.Optional(Type.Integer({ description: 'Records of its inputs in Kafka that are not done.' }))
const open = { additionalProperties: true } as const

const Condition = Type.Object(
  { type: Text, status: Text, reason: Type.Optional(Text), message: Type.Optional(Text) },
  open,
)
const VersionStatus = Type.Object(
  {
    version: Count,
    state: Text,
    reason: Type.Optional(Text),
    server: Type.Optional(Text),
    memoryBytes: Type.Optional(Type.Number()),
    replicas: Type.Optional(Type.Array(Type.Object({ replica: Text, state: Text, reason: Type.Optional(Text) }, open))),
  },
  open,
)
const ModelStatus = Type.Object(
  {
    observedGeneration: Type.Optional(Count),
    state: Text,
    reason: Text,
    conditions: Type.Array(Condition),
    replicas: Count,
    availableReplicas: Count,
    version: Count,
    servingVersion: Type.Optional(Count),
    server: Type.Optional(Text),
    versions: Type.Array(VersionStatus),
    placement: Type.Optional(
      Type.Object(
        { reason: Text, servers: Type.Array(Type.Object({ server: Text, filter: Text, detail: Text }, open)) },
        open,
      ),
    ),
    lagRecords: Lag,
    history: Type.Array(Type.Object({ version: Count, storageUri: Text, at: Type.Optional(Text) }, open)),
  },
  open,
)
const ServerStatus = Type.Object(
  {
    state: Text,
    reason: Text,
    conditions: Type.Array(Condition),
    replicas: Count,
    availableReplicas: Count,
    loadedModels: Count,
    replicaStatuses: Type.Array(
      Type.Object(
        {
          replica: Text,
          address: Text,
          restPort: Count,
          grpcPort: Count,
          health: Text,
          agent: Text,
          draining: Type.Boolean(),
          memoryBytes: Type.Number(),
          availableMemoryBytes: Type.Number(),
          capabilities: Type.Array(Text),
          loadedModels: Count,
        },
        open,
      ),
    ),
  },
  open,
)

const PipelineStatus = Type.Object(
  {
    observedGeneration: Type.Optional(Count),
    state: Text,
    reason: Text,
    conditions: Type.Array(Condition),
    version: Count,
    servingVersion: Type.Optional(Count),
    modelsReady: Type.Boolean(),
    missingModels: Type.Array(Text),
    lagRecords: Lag,
    versions: Type.Array(
      Type.Object({ version: Count, uid: Text, steps: Type.Array(Text), at: Type.Optional(Text) }, open),
    ),
  },
  open,
)
const Target = Type.Object(
  {
    name: Text,
    ready: Type.Boolean(),
    reason: Type.Optional(Text),
    share: Type.Optional(Type.Number({ description: 'Of the requests, in percent, as Envoy is told now.' })),
  },
  open,
)
const Figures = Type.Object(
  {
    requests: Type.Number(),
    errors: Type.Number(),
    timed: Type.Number({ description: 'Requests whose durations are known.' }),
    errorRate: Type.Optional(Type.Number()),
    p50Ms: Type.Optional(Type.Number()),
    p99Ms: Type.Optional(Type.Number()),
  },
  open,
)
const Decision = Type.Object(
  {
    at: Text,
    step: Count,
    weight: Type.Number({ description: "The canary's share in percent that it was made at." }),
    outcome: Type.Enum(['advance', 'promote', 'hold', 'rollback']),
    reason: Text,
    canary: Figures,
    default: Figures,
    times: Type.Optional(Count),
  },
  open,
)
const ExperimentStatus = Type.Object(
  {
    observedGeneration: Type.Optional(Count),
    state: Text,
    reason: Text,
    conditions: Type.Array(Condition),
    active: Type.Boolean({ description: 'Requests follow it.' }),
    candidatesReady: Type.Boolean(),
    mirrorReady: Type.Boolean(),
    createdAt: Text,
    candidates: Type.Array(Target),
    mirror: Type.Optional(Target),
    rollout: Type.Optional(
      Type.Object(
        {
          phase: Type.Enum(['waiting', 'measuring', 'promoted', 'held', 'rolledBack']),
          step: Count,
          steps: Count,
          weight: Type.Number({ description: "The canary's share in percent." }),
          decideAt: Type.Optional(Text),
        },
        open,
      ),
    ),
    decisions: Type.Optional(Type.Array(Decision)),
  },
  open,
)

const stored = (kind: Kind, spec: TSchema, status: TSchema): TSchema =>
  Type.Object({
    apiVersion: Type.Literal(API_VERSION),
    kind: Type.Literal(kind),
    metadata: plain(MetadataSchema),
    spec: plain(spec),
    status,
  })

/** By name, as they are referred to. */
export const SCHEMAS = {
  Model: plain(ModelSchema),
  Server: plain(ServerSchema),
  Pipeline: plain(PipelineSchema),
  Experiment: plain(ExperimentSchema),
  StoredModel: stored('Model', ModelSpecSchema, ModelStatus),
  StoredServer: stored('Server', FreeMapping, ServerStatus),
  StoredPipeline: stored('Pipeline', PipelineSpecSchema, PipelineStatus),
  StoredExperiment: stored('Experiment', ExperimentSpecSchema, ExperimentStatus),
  Decision,
  Event: Type.Object({ atMs: Type.Integer(), type: Text, reason: Text, message: Text }),
  Error: Type.Object({
    code: Type.String({ description: 'One of docs/errors.md.' }),
    message: Text,
    issues: Type.Array(Type.Object({ path: Text, message: Text })),
    help: Text,
    retryable: Type.Boolean({ description: 'Whether the same request may succeed later.' }),
  }),
  Node: Type.Object({
    node: Text,
    scheduler: Type.String({ description: 'The one that it is connected to.' }),
    ackedRevision: Type.Integer({
      description: 'Everything up to this revision is ACKed, or refused and listed; -1: nothing yet.',
    }),
    connectedSince: Type.Optional(Type.String({ format: 'date-time' })),
    silentSince: Type.Optional(Type.String({ format: 'date-time' })),
    heldBecause: Type.Optional(Type.String({ description: 'Why it is sent nothing.' })),
    refusals: Type.Array(
      Type.Object({
        at: Type.String({ format: 'date-time' }),
        revision: Count,
        kind: Text,
        key: Type.Optional(Text),
        reason: Text,
      }),
    ),
  }),
  Worker: Type.Object({
    role: Type.Enum([...WORKER_ROLES]),
    name: Text,
    connectedSince: Type.String({ format: 'date-time' }),
    draining: Type.Boolean(),
    units: Type.Array(
      Type.Object({
        name: Text,
        lagRecords: Lag,
      }),
      {
        description: 'Pipelines that a pipeline gateway answers or an engine reads, models that a model gateway reads.',
      },
    ),
    journalRemark: Type.Optional(
      Type.String({ description: 'What is wrong with the journal of a pipeline gateway; empty: nothing.' }),
    ),
  }),
  Placement: Type.Object({
    model: Text,
    version: Count,
    replicas: Count,
    memoryBytes: Type.Number(),
    placed: Type.Optional(Type.Object({ server: Text, replicas: Type.Array(Text) })),
    reason: Type.Optional(Text),
    servers: Type.Array(
      Type.Object({
        server: Text,
        fitting: Count,
        refusals: Type.Array(Type.Object({ filter: Text, detail: Text })),
        replicas: Type.Array(
          Type.Object({
            replica: Text,
            fits: Type.Boolean(),
            memoryBytes: Type.Number(),
            freeMemoryBytes: Type.Number(),
            capabilities: Type.Array(Text),
            refusals: Type.Array(Type.Object({ filter: Text, detail: Text })),
          }),
        ),
      }),
    ),
  }),
} as const

export const ref = (name: keyof typeof SCHEMAS): TSchema => Type.Unsafe({ $ref: `${name}#` })

const PROBLEMS = {
  400: 'What was sent is wrong; `issues` lists everything.',
  401: 'A token is needed.',
  404: 'There is no such resource.',
  409: 'It is not as expected, or not to be changed now.',
  413: 'The body is too large.',
  415: 'The body is not JSON.',
  429: 'As many clients watch as may.',
  503: 'Redis is away, or this scheduler does not lead; the message names the one that does.',
} as const

const problems = (codes: readonly (keyof typeof PROBLEMS)[]): Record<string, TSchema> =>
  Object.fromEntries(codes.map((code) => [String(code), Type.Unsafe({ $ref: 'Error#', description: PROBLEMS[code] })]))

export const READ_PROBLEMS = problems([400, 401, 404, 413, 415, 503])
export const WATCH_PROBLEMS = problems([400, 401, 404, 413, 415, 429, 503])
export const WRITE_PROBLEMS = problems([400, 401, 404, 409, 413, 415, 503])
