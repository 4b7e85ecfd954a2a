/** Pipelines and experiments, as `describe` shows them. */
import type { ExperimentTargetStatus, StoredExperiment, StoredPipeline } from '../../api/resources/status.ts'
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

interface TargetRow extends ExperimentTargetStatus {
  readonly role: string
  readonly share: string
}

/** The share of each candidate by its weight, and the mirror with its own. */
export function experimentTargetTable({ spec, status }: StoredExperiment): readonly string[] {
  const { candidates = [], mirror, default: baseline } = spec
  const sum = candidates.reduce((total, { weight }) => total + weight, 0)
  const known = new Map((status?.candidates ?? []).map((target) => [target.name, target]))
  const rows: readonly TargetRow[] = [
    ...candidates.map(({ name, weight }) => ({
      ...(known.get(name) ?? { name, ready: false, reason: 'not known yet' }),
      role: name === baseline ? 'default' : 'candidate',
      share: `${String(Math.round((1_000 * weight) / Math.max(sum, 1)) / 10)} %`,
    })),
    ...(mirror === undefined
      ? []
      : [
          {
            ...(status?.mirror ?? { name: mirror.name, ready: false, reason: 'not known yet' }),
            role: 'mirror',
            share: `${String(mirror.percent)} %`,
          },
        ]),
  ]
  const columns: readonly Column<TargetRow>[] = [
    { title: 'NAME', cell: ({ name }) => name },
    { title: 'ROLE', cell: ({ role }) => role },
    { title: 'SHARE', cell: ({ share }) => share },
    { title: 'READY', cell: ({ ready }) => (ready ? 'yes' : 'no') },
    { title: 'REASON', cell: ({ reason }) => reason ?? '' },
  ]
  return toTable(columns, rows)
}
