/** The Experiment kind: structure, and the rules that need nothing but the manifest. */
import { type Static, Type } from 'typebox'
import type { DeepReadonly } from './deep-readonly.ts'
import { API_VERSION, FreeMapping, MetadataSchema, NameSchema } from './metadata.ts'
import { type ExperimentDraft, experimentProblems, headerProblem, matchProblem, type RuleProblem } from './rules.ts'

const closed = { additionalProperties: false } as const
const MAX_UINT32 = 0xffff_ffff
/** What the router filter takes. */
const MAX_CANDIDATES = 64
const MAX_CONDITIONS = 16
/** The longest a timer can wait: 24.8 days. */
const MAX_MS = 0x7fff_ffff

const Header = Type.String({
  refusal: (value: unknown) => (typeof value === 'string' ? headerProblem(value) : undefined),
})

/** What Envoy lets through, and nothing that hides at its ends. */
const HeaderValue = Type.String({ pattern: '^[\\x21-\\x7e]([\\x20-\\x7e]{0,254}[\\x21-\\x7e])?$' })

/** One condition on one header; several of a candidate must all hold. */
const Match = Type.Object(
  {
    header: Header,
    exact: Type.Optional(HeaderValue),
    prefix: Type.Optional(HeaderValue),
    present: Type.Optional(Type.Literal(true)),
  },
  {
    ...closed,
    refusal: (value: unknown) =>
      typeof value === 'object' && value !== null ? matchProblem(value as Fields) : undefined,
  },
)

const Candidate = Type.Object(
  {
    name: NameSchema,
    weight: Type.Integer({ minimum: 0, maximum: MAX_UINT32 }),
    /** Ours: requests that meet all of these go to this candidate, before weights are asked. */
    match: Type.Optional(Type.Array(Match, { maxItems: MAX_CONDITIONS })),
  },
  closed,
)

const Ratio = Type.Number({ minimum: 0 })
const Milliseconds = Type.Number({ minimum: 0 })
const Analysis = Type.Object(
  {
    /** Share of failed requests, 0 to 1. */
    maxErrorRate: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    maxP50Ms: Type.Optional(Milliseconds),
    maxP99Ms: Type.Optional(Milliseconds),
    /** Against the default's. */
    maxP50Ratio: Type.Optional(Ratio),
    maxP99Ratio: Type.Optional(Ratio),
    /** Fewer in a step decide nothing. */
    minRequests: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_UINT32 })),
  },
  closed,
)

/** Ours: the candidate beside the default gets these shares in percent, one after the other, while it does well. */
const Rollout = Type.Object(
  {
    steps: Type.Array(Type.Integer({ minimum: 1, maximum: 100 }), { maxItems: 100 }),
    /** How long each step is measured at least. */
    intervalMs: Type.Integer({ minimum: 1_000, maximum: MAX_MS }),
    analysis: Type.Optional(Analysis),
    onSuccess: Type.Optional(Type.Union([Type.Literal('promote'), Type.Literal('hold')])),
    onFailure: Type.Optional(Type.Union([Type.Literal('rollback'), Type.Literal('hold')])),
  },
  closed,
)

type Fields = Readonly<Record<string, unknown>>

/** The rules, once what they read has its shape. */
const experimentRules = (spec: Fields): readonly RuleProblem[] => experimentProblems(spec as ExperimentDraft)

export const ExperimentSpecSchema = Type.Object(
  {
    /** model when absent. */
    resourceType: Type.Optional(Type.Union([Type.Literal('model'), Type.Literal('pipeline')])),
    default: Type.Optional(NameSchema),
    candidates: Type.Optional(Type.Array(Candidate, { maxItems: MAX_CANDIDATES })),
    mirror: Type.Optional(
      Type.Object({ name: NameSchema, percent: Type.Number({ minimum: 0, maximum: 100 }) }, closed),
    ),
    /** Ours: the same value of this header always meets the same candidate. */
    stickiness: Type.Optional(Type.Object({ header: Header }, closed)),
    rollout: Type.Optional(Rollout),
  },
  { ...closed, rules: experimentRules },
)
export type ExperimentSpec = DeepReadonly<Static<typeof ExperimentSpecSchema>>

export const ExperimentSchema = Type.Object(
  {
    apiVersion: Type.Literal(API_VERSION),
    kind: Type.Literal('Experiment'),
    metadata: MetadataSchema,
    spec: ExperimentSpecSchema,
    /** Allowed so that what was printed can be applied again; never read. */
    status: Type.Optional(FreeMapping),
  },
  closed,
)
