import type { StoredPipeline } from '../../api/resources/status.ts'
import type { Terminal } from '../terminal.ts'
import { ageText, versionText } from './model-table.ts'
import { briefReason, stateColour } from './state.ts'
import type { Column } from './table.ts'

export function pipelineColumns(terminal: Terminal, nowMs: number): readonly Column<StoredPipeline>[] {
  return [
    { title: 'NAME', cell: (pipeline) => pipeline.metadata.name },
    {
      title: 'STATE',
      cell: (pipeline) => pipeline.status?.state ?? 'Unknown',
      paint: (text, pipeline) => terminal.paint(stateColour(pipeline.status?.state), text),
    },
    { title: 'MODELS', cell: modelsText },
    { title: 'RUNNER', cell: runnerText },
    { title: 'VERSION', cell: versionText },
    { title: 'AGE', cell: (pipeline) => ageText(pipeline.status?.versions?.[0]?.at, nowMs) },
    { title: 'REASON', cell: (pipeline) => briefReason(pipeline.status?.reason) },
  ]
}

/** How its requests run: `direct` or `topics`. */
export const runnerText = ({ spec }: Pick<StoredPipeline, 'spec'>): string => spec.dataflow?.execution ?? 'direct'

/** `1/2`: how many of the models that it names are available. */
export function modelsText({ spec, status }: StoredPipeline): string {
  const count = new Set(spec.steps.map(({ name }) => name)).size
  return `${String(count - (status?.missingModels?.length ?? count))}/${String(count)}`
}
