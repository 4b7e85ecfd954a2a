/**
 * What is remembered of one request. Bounded by the plan and its `maxStepRevisits`.
 *
 * Lists that are seldom more than empty are replaced, never written to, so that requests share the empty ones.
 */
import type { Plan, PlanNode } from '../plan/plan.ts'
import { copyGroup, emptyGroup, type GroupState, type Ready } from './group.ts'
import type { Visit } from './types.ts'
import { NO_VISITS, type VisitKeys } from './visit.ts'

export interface State {
  readonly outcome: 'running' | 'answered' | 'failed' | 'cancelled'
  /** Nothing runs and nothing will; every event is ignored. */
  readonly isFinished: boolean
  readonly isOpen: boolean
  readonly startMs: number
  readonly deadlineMs: number
  readonly nodes: readonly NodeState[]
  /** For each edge, the visits that data has appeared in. */
  readonly seen: readonly VisitKeys[]
  /** In flight. */
  readonly calls: readonly Call[]
  readonly timers: readonly Timer[]
  /** The last number given to a call or a timer. */
  readonly lastId: number
  /** Why something did not flow on, for the message of a failure; the first few. */
  readonly losses: readonly string[]
}

export interface NodeState {
  readonly data: GroupState
  readonly triggers: GroupState | undefined
  /** Complete data that waits for triggers, and the other way round. */
  waitingData: readonly Ready[]
  waitingTriggers: readonly Ready[]
  /** The visits that it has run in. */
  fired: VisitKeys
  /** It will never run. Only known without loops. */
  isVoid: boolean
}

export interface Call {
  readonly id: number
  readonly node: number
  readonly visit: Visit
}

export type Timer = { readonly id: number } & (
  | { readonly kind: 'deadline' }
  | { readonly kind: 'window'; readonly node: number; readonly group: 'data' | 'triggers' }
  | {
      readonly kind: 'arrival'
      readonly node: number
      readonly group: 'data' | 'triggers'
      readonly source: number
      readonly visit: Visit
    }
)

export const DEADLINE_TIMER = 0
export const ONLY_DEADLINE: readonly Timer[] = [{ id: DEADLINE_TIMER, kind: 'deadline' }]
export const NO_LOSSES: readonly string[] = []
const NONE: readonly Ready[] = []

const emptyNode = ({ data, triggers }: PlanNode): NodeState => ({
  data: emptyGroup(data),
  triggers: triggers === undefined ? undefined : emptyGroup(triggers),
  waitingData: NONE,
  waitingTriggers: NONE,
  fired: NO_VISITS,
  isVoid: false,
})

/** Of exactly the size that they need, which pushing would not give. */
export const emptyNodes = ({ nodes }: Plan): NodeState[] => nodes.map(emptyNode)
export const unseenEdges = ({ edges }: Plan): VisitKeys[] => edges.map(unseen)
const unseen = (): VisitKeys => NO_VISITS

export const copyNode = ({ data, triggers, waitingData, waitingTriggers, fired, isVoid }: NodeState): NodeState => ({
  data: copyGroup(data),
  triggers: triggers === undefined ? undefined : copyGroup(triggers),
  waitingData,
  waitingTriggers,
  fired,
  isVoid,
})
