import type { StoredModel, StoredPipeline, StoredResource } from '../../api/resources/status.ts'
import { formatAge } from '../duration.ts'
import type { Terminal } from '../terminal.ts'
import type { Column } from './table.ts'
import { briefReason, stateColour } from './state.ts'

export function modelColumns(terminal: Terminal, nowMs: number): readonly Column<StoredModel>[] {
  return [
    { title: 'NAME', cell: (model) => model.metadata.name },
    {
      title: 'STATE',
      cell: (model) => model.status?.state ?? 'Unknown',
      paint: (text, model) => terminal.paint(stateColour(model.status?.state), text),
    },
    {
      title: 'READY',
      cell: ({ spec, status }) =>
        `${String(status?.availableReplicas ?? 0)}/${String(status?.replicas ?? spec.replicas ?? 1)}`,
    },
    { title: 'VERSION', cell: versionText },
    { title: 'SERVER', cell: (model) => model.status?.server ?? model.spec.server ?? '' },
    { title: 'AGE', cell: (model) => ageText(createdAt(model), nowMs) },
    { title: 'REASON', cell: (model) => briefReason(model.status?.reason) },
  ]
}

/** `3`, or `2 -> 3` while the version before still answers. */
export function versionText({ status }: StoredModel | StoredPipeline): string {
  const { version, servingVersion } = status ?? {}
  if (version === undefined) return ''
  return servingVersion === undefined || servingVersion === version
    ? String(version)
    : `${String(servingVersion)} -> ${String(version)}`
}

/** When it was made; without that, when the oldest version that is still known was. */
export function createdAt({ kind, metadata, status }: StoredResource): unknown {
  if (metadata.creationTimestamp !== undefined) return metadata.creationTimestamp
  switch (kind) {
    case 'Model':
      return status?.history?.[0]?.at
    case 'Pipeline':
      return status?.versions?.[0]?.at
    case 'Experiment':
      return status?.createdAt
    case 'Server':
      return undefined
  }
}

export function ageText(timestamp: unknown, nowMs: number): string {
  const atMs = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN
  return Number.isNaN(atMs) ? '' : formatAge(nowMs - atMs)
}
