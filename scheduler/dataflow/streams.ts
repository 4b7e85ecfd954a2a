/** A stream of dataflow.proto, and what an introduced process may say on it. */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { GatewayMessage__Output } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { Introduction__Output } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { JournalReport__Output } from '../../api/generated/millrace/dataflow/JournalReport.ts'
import type { PipelineReport__Output } from '../../api/generated/millrace/dataflow/PipelineReport.ts'
import type { SchedulerMessage } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import type { UnitLag__Output } from '../../api/generated/millrace/dataflow/UnitLag.ts'
import type { UnitReleased__Output } from '../../api/generated/millrace/dataflow/UnitReleased.ts'

export type DataflowStream = ServerDuplexStream<GatewayMessage__Output, SchedulerMessage>

export interface Subscriber {
  readonly name: string
  readonly report: (report: PipelineReport__Output) => void
  readonly drain: () => void
  readonly released: (released: UnitReleased__Output) => void
  readonly lags: (lags: readonly UnitLag__Output[]) => void
  readonly journal: (report: JournalReport__Output) => void
}

/** @throws ServingError when who it says it is cannot be */
export type Introduce = (stream: DataflowStream, introduction: Introduction__Output) => Subscriber

export function dispatch(
  subscriber: Subscriber,
  { report, draining, unitReleased, unitLags, journal }: GatewayMessage__Output,
): void {
  if (report) subscriber.report(report)
  else if (draining) subscriber.drain()
  else if (unitReleased) subscriber.released(unitReleased)
  else if (unitLags) subscriber.lags(unitLags.lags)
  else if (journal) subscriber.journal(journal)
}
