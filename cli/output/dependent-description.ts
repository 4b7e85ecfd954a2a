/** Pipelines and experiments, as `describe` shows them. */
import type {
  CandidateFigures,
  ExperimentTargetStatus,
  RolloutDecision,
  StoredExperiment,
  StoredPipeline,
} from '../../api/resources/status.ts'
import { type Column, toTable } from './table.ts'

type PipelineVersion = NonNullable<NonNullable<StoredPipeline['status']>['versions']>[number]

export function pipelineVersionTable({ status }: StoredPipeline): readonly string[] {
  const { versions = [], servingVersion } = status ?? {}
  const columns: readonly Column<PipelineVersion>[] = [
    { title: 'VERSION', cell: ({ version }) => String(version) },
    { title: 'SERVES', cell: ({ version }) => (version === servingVersion ? 'yes' : '') },
    { title: 'APPLIED', cell: ({ at }) => at ?? '' },
    { title: 'UID', cell: ({ uid }) => uid },
    { title: 'STEPS', cell: ({ steps }) => steps.join(',') },
  ]
  return versions.length === 0 ? [] : toTable(columns, versions)
}

interface TargetRow extends Omit<ExperimentTargetStatus, 'share'> {
  readonly role: string
  /** As it was applied. */
  readonly weight: string
  readonly share: string
}

/** The candidate's part of the requests as Envoy is told, `-` while it is told nothing. */
export function shareText(status: StoredExperiment['status'], name: string, space = ' '): string {
  const share = status?.candidates?.find((candidate) => candidate.name === name)?.share
  return share === undefined ? '-' : `${String(share)}${space}%`
}

/** The weight of each candidate as it was applied and its share as Envoy is told; and the mirror with its own. */
export function experimentTargetTable({ spec, status }: StoredExperiment): readonly string[] {
  const { candidates = [], mirror, default: baseline } = spec
  const known = new Map((status?.candidates ?? []).map((target) => [target.name, target]))
  const rows: readonly TargetRow[] = [
    ...candidates.map(({ name, weight }) => ({
      ...(known.get(name) ?? { name, ready: false, reason: 'not known yet' }),
      role: name === baseline ? 'default' : 'candidate',
      weight: String(weight),
      share: shareText(status, name),
    })),
    ...(mirror === undefined
      ? []
      : [
          {
            ...(status?.mirror ?? { name: mirror.name, ready: false, reason: 'not known yet' }),
            role: 'mirror',
            weight: '',
            share: `${String(mirror.percent)} %`,
          },
        ]),
  ]
  const columns: readonly Column<TargetRow>[] = [
    { title: 'NAME', cell: ({ name }) => name },
    { title: 'ROLE', cell: ({ role }) => role },
    { title: 'WEIGHT', cell: ({ weight }) => weight },
    { title: 'SHARE', cell: ({ share }) => share },
    { title: 'READY', cell: ({ ready }) => (ready ? 'yes' : 'no') },
    { title: 'REASON', cell: ({ reason }) => reason ?? '' },
  ]
  return toTable(columns, rows)
}

/** How far the rollout has come; nothing without one. */
export function rolloutLines({ status }: StoredExperiment): readonly string[] {
  const { rollout } = status ?? {}
  if (rollout === undefined) return []
  const { phase, step, steps, weight, decideAt } = rollout
  const next = decideAt === undefined ? '' : `, next decision at ${decideAt}`
  return [`${phase}, step ${String(step)} of ${String(steps)}, the canary has ${String(weight)} %${next}`]
}

/** What was decided, and by which figures: the canary's / the default's. */
export function decisionTable({ status }: StoredExperiment): readonly string[] {
  const { decisions = [] } = status ?? {}
  const both = (of: (figures: CandidateFigures) => string) => (decision: RolloutDecision) =>
    `${of(decision.canary)} / ${of(decision.default)}`
  const columns: readonly Column<RolloutDecision>[] = [
    { title: 'AT', cell: ({ at }) => at },
    { title: 'STEP', cell: ({ step, weight }) => `${String(step)} (${String(weight)} %)` },
    {
      title: 'DECISION',
      cell: ({ outcome, times }) => (times === undefined ? outcome : `${outcome} x${String(times)}`),
    },
    { title: 'REQUESTS', cell: both(({ requests }) => String(requests)) },
    {
      title: 'ERRORS',
      cell: both(({ errorRate }) => rounded(errorRate === undefined ? undefined : 100 * errorRate, '%')),
    },
    { title: 'P50', cell: both(({ p50Ms }) => rounded(p50Ms, 'ms')) },
    { title: 'P99', cell: both(({ p99Ms }) => rounded(p99Ms, 'ms')) },
    { title: 'REASON', cell: ({ reason }) => reason },
  ]
  return decisions.length === 0 ? [] : toTable(columns, decisions)
}

const rounded = (value: number | undefined, unit: string): string =>
  value === undefined ? '-' : `${String(Number(value.toFixed(2)))} ${unit}`
