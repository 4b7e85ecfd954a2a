import type { StoredExperiment } from '../../api/resources/status.ts'
import type { Terminal } from '../terminal.ts'
import { ageText } from './model-table.ts'
import { shareText } from './dependent-description.ts'
import { briefReason, stateColour } from './state.ts'
import type { Column } from './table.ts'

export function experimentColumns(terminal: Terminal, nowMs: number): readonly Column<StoredExperiment>[] {
  return [
    { title: 'NAME', cell: (experiment) => experiment.metadata.name },
    {
      title: 'STATE',
      cell: (experiment) => experiment.status?.state ?? 'Unknown',
      paint: (text, experiment) => terminal.paint(stateColour(experiment.status?.state), text),
    },
    { title: 'DEFAULT', cell: (experiment) => experiment.spec.default ?? '' },
    { title: 'CANDIDATES', cell: candidatesText },
    { title: 'MIRROR', cell: mirrorText },
    { title: 'AGE', cell: (experiment) => ageText(experiment.status?.createdAt, nowMs) },
    { title: 'REASON', cell: (experiment) => briefReason(experiment.status?.reason) },
  ]
}

/** `iris:90%,iris2:10%`: who gets how much now, as Envoy is told; `-` while it is told nothing. */
const candidatesText = ({ spec, status }: StoredExperiment): string =>
  (spec.candidates ?? []).map(({ name }) => `${name}:${shareText(status, name, '')}`).join(',')

const mirrorText = ({ spec }: StoredExperiment): string =>
  spec.mirror === undefined ? '' : `${spec.mirror.name}:${String(spec.mirror.percent)}%`
