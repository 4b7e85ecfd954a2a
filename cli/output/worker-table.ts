import { lagOf, type Worker, type WorkerUnit } from '../../api/resources/worker.ts'
import { ServingError } from '../../kit/errors.ts'
import { ageText } from './model-table.ts'
import { briefReason } from './state.ts'
import type { Column } from './table.ts'

export const workerColumns = (nowMs: number): readonly Column<Worker>[] => [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'ROLE', cell: ({ role }) => role },
  { title: 'STATE', cell: ({ draining }) => (draining ? 'draining' : 'connected') },
  { title: 'UNITS', cell: ({ units }) => String(units.length) },
  { title: 'LAG', cell: (worker) => lagText(lagOf(worker)) },
  { title: 'CONNECTED', cell: ({ connectedSince }) => ageText(connectedSince, nowMs) },
  { title: 'REMARK', cell: ({ journalRemark }) => briefReason(journalRemark) },
]

export const UNIT_COLUMNS: readonly Column<WorkerUnit>[] = [
  { title: 'UNIT', cell: ({ name }) => name },
  { title: 'LAG', cell: ({ lagRecords }) => lagText(lagRecords) },
]

const lagText = (records: number | undefined): string => (records === undefined ? '' : String(records))

/** All without a name; one of each role may have the same. @throws ServingError WORKER_NOT_FOUND */
export function selectWorkers(workers: readonly Worker[], name: string | undefined): readonly Worker[] {
  const found = workers.filter((worker) => name === undefined || worker.name === name)
  if (name === undefined || found.length > 0) return found
  const known = workers.length === 0 ? 'none is connected' : `there are ${workers.map((one) => one.name).join(', ')}`
  throw new ServingError('WORKER_NOT_FOUND', `worker ${name} is not connected: ${known}`)
}
