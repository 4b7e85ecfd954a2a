/** What is remembered of one request. Bounded by the plan and its `maxStepRevisits`. */
import type { Plan } from '../plan/plan.ts'
import { copyGroup, emptyGroup, type GroupState, type Ready } from './group.ts'
import type { Visit } from './types.ts'

export interface State {
  readonly outcome: 'running' | 'answered' | 'failed' | 'cancelled'
  /** Nothing runs and nothing will; every event is ignored. */
  readonly isFinished: boolean
  readonly isOpen: boolean
  readonly startMs: number
  readonly deadlineMs: number
  readonly nodes: readonly NodeState[]
  /** For each edge, the visits that data has appeared in. */
  readonly seen: readonly ReadonlySet<string>[]
  /** In flight. */
  readonly calls: ReadonlyMap<number, Call>
  readonly timers: ReadonlyMap<number, Timer>
  /** The last number given to a call or a timer. */
  readonly lastId: number
  /** Why something did not flow on, for the message of a failure; the first few. */
  readonly losses: readonly string[]
}

export interface NodeState {
  readonly data: GroupState
  readonly triggers: GroupState | undefined
  /** Complete data that waits for triggers, and the other way round. */
  readonly waitingData: Ready[]
  readonly waitingTriggers: Ready[]
  /** The visits that it has run in. */
  readonly fired: Set<string>
  /** It will never run. Only known without loops. */
  isVoid: boolean
}

export interface Call {
  readonly node: number
  readonly visit: Visit
}

export type Timer =
  | { readonly kind: 'deadline' }
  | { readonly kind: 'window'; readonly node: number; readonly group: 'data' | 'triggers' }
  | {
      readonly kind: 'arrival'
      readonly node: number
      readonly group: 'data' | 'triggers'
      readonly source: number
      readonly visit: Visit
    }

export const DEADLINE_TIMER = 0

export const emptyState = (
  plan: Plan,
  { isOpen, startMs, deadlineMs }: Pick<State, 'isOpen' | 'startMs' | 'deadlineMs'>,
): State => ({
  isOpen,
  startMs,
  deadlineMs,
  outcome: 'running',
  isFinished: false,
  nodes: plan.nodes.map(({ data, triggers }) => ({
    data: emptyGroup(data),
    triggers: triggers === undefined ? undefined : emptyGroup(triggers),
    waitingData: [],
    waitingTriggers: [],
    fired: new Set(),
    isVoid: false,
  })),
  seen: plan.edges.map(() => NOTHING),
  calls: new Map(),
  timers: new Map([[DEADLINE_TIMER, { kind: 'deadline' }]]),
  lastId: DEADLINE_TIMER,
  losses: [],
})

const NOTHING: ReadonlySet<string> = new Set()

export const copyNode = ({ data, triggers, waitingData, waitingTriggers, fired, isVoid }: NodeState): NodeState => ({
  data: copyGroup(data),
  triggers: triggers === undefined ? undefined : copyGroup(triggers),
  waitingData: [...waitingData],
  waitingTriggers: [...waitingTriggers],
  fired: new Set(fired),
  isVoid,
})
