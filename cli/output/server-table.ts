import type { StoredServer } from '../../api/resources/status.ts'
import type { Terminal } from '../terminal.ts'
import { ageText } from './model-table.ts'
import { briefReason, stateColour } from './state.ts'
import type { Column } from './table.ts'

export function serverColumns(terminal: Terminal, nowMs: number): readonly Column<StoredServer>[] {
  return [
    { title: 'NAME', cell: (server) => server.metadata.name },
    {
      title: 'STATE',
      cell: (server) => server.status?.state ?? 'Unknown',
      paint: (text, server) => terminal.paint(stateColour(server.status?.state), text),
    },
    {
      title: 'READY',
      cell: ({ spec, status }) =>
        `${String(status?.availableReplicas ?? 0)}/${String(status?.replicas ?? spec.replicas ?? 1)}`,
    },
    { title: 'MODELS', cell: (server) => String(server.status?.loadedModels ?? 0) },
    { title: 'AGE', cell: (server) => ageText(server.metadata.creationTimestamp, nowMs) },
    { title: 'REASON', cell: (server) => briefReason(server.status?.reason) },
  ]
}
