/**
 * The pipelines that this engine reads: each record of their inputs is run, or left to the gateway that marked it. A pipeline is
 * begun after what is unread of it was compared with what the topics say, so that what has its result is not run again.
 */
import { backoffMs, pause } from '../../kit/backoff.ts'
import { atMost } from '../../kit/deadline.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { Consumer } from '../consumer/types.ts'
import type { Journal } from '../journal/journal.ts'
import { ERRORS, parseTopicName, type TopicEnd, topicName, type TopicSpace } from '../journal/topics.ts'
import type { IncomingRecord } from '../kafka/client.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { MAYBE_BEGUN, type RunRecord } from './asynchronous.ts'
import type { ExternalInputs } from './external-inputs.ts'
import { gatewayOf, identify } from './identity.ts'
import type { Orphans } from './orphans.ts'
import { createScope, type Scope } from './scope.ts'
import type { TopicsUnits } from './topics-units.ts'
import { createTurns } from '../../kit/turns.ts'
import type { Unread } from './unread.ts'

export interface UnitsDeps {
  readonly space: TopicSpace
  readonly journal: Pick<Journal, 'ensureTopics' | 'partitions'>
  readonly consumer: () => Pick<Consumer, 'assign' | 'release'>
  readonly plan: (pipeline: string) => HeldPlan | undefined
  /** `isHandedOver`: whoever read it before has released it. */
  readonly lookAtUnread: (held: HeldPlan, isHandedOver: boolean) => Promise<Unread>
  readonly run: RunRecord
  readonly topics: TopicsUnits
  readonly orphans: Orphans
  readonly external: Pick<ExternalInputs, 'begin' | 'changed' | 'end'>
  /** The engine stops. */
  readonly signal: AbortSignal
  readonly log: Logger
}

export interface Units {
  /** Harmless for one that is read already. */
  readonly begin: (pipeline: string, isHandedOver: boolean) => void
  /** Resolves when nothing of it runs, what ran after `waitMs` being ended, and what is done is committed. */
  readonly end: (pipeline: string, waitMs: number) => Promise<void>
  readonly names: () => readonly string[]
  /** Another version of a pipeline may serve. */
  readonly refresh: (pipeline: string) => void
  readonly stop: (waitMs: number) => Promise<void>
  readonly onRecord: (record: IncomingRecord, done: () => void) => void
}

interface Unit {
  readonly ending: AbortController
  readonly isHandedOver: boolean
  readonly scope: Scope
  unread: Unread | undefined
  begun: Promise<void>
  ended: Promise<void> | undefined
}

const RETRY = { minMs: 500, maxMs: 10_000 }
/** What they ask of Kafka goes together. */
const BEGIN_AT_ONCE = 64

export function createUnits(deps: UnitsDeps): Units {
  const { space, journal, orphans, log } = deps
  const units = new Map<string, Unit>()
  const turns = createTurns(BEGIN_AT_ONCE)

  const begin = async (pipeline: string, unit: Unit): Promise<void> => {
    const { signal } = unit.ending
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const give = await turns.take()
      try {
        const held = deps.plan(pipeline)
        if (held === undefined) throw new RangeError('its plan is not here')
        await journal.ensureTopics(endsOf(pipeline))
        unit.unread = await deps.lookAtUnread(held, unit.isHandedOver)
        if (signal.aborted) return
        if (held.plan.execution === 'topics') await deps.topics.begin(held)
        if (signal.aborted) return
        orphans.begin(pipeline, unit.unread.lastReadMs ?? 0, unit.scope)
        await deps.consumer().assign(inputsOf(space, pipeline))
        await deps.external.begin(pipeline)
        log.info({ pipeline }, 'reading the inputs of a pipeline')
        return
      } catch (error) {
        if (attempt === 0) log.warn({ pipeline, error: toServingError(error).message }, 'inputs cannot be read yet')
      } finally {
        give()
      }
      await pause(backoffMs(attempt, RETRY), signal)
    }
  }

  const end = async (pipeline: string, unit: Unit, waitMs: number): Promise<void> => {
    unit.ending.abort()
    orphans.end(pipeline)
    await unit.begun
    await deps.external.end(pipeline, waitMs)
    // What runs over topics is somebody else's at once; nothing of it is waited for.
    await deps.topics.end(pipeline, waitMs)
    await unit.scope.leave(waitMs)
    await deps.consumer().release(inputsOf(space, pipeline), 0)
  }

  const handle = (pipeline: string, record: IncomingRecord, done: () => void): void => {
    const held = deps.plan(pipeline)
    if (held === undefined) return // it was just deleted, or goes elsewhere
    if (gatewayOf(record) !== undefined) {
      orphans.saw(pipeline, record)
      done()
      return
    }
    const unit = units.get(pipeline)
    if (unit?.unread === undefined) return
    const { journaled, mayHaveBegun } = unit.unread
    const { key } = identify(record, pipeline, journal.partitions)
    if (journaled.takeTerminal(key)) {
      done()
      return
    }
    const doubt = mayHaveBegun(record) ? MAYBE_BEGUN : undefined
    if (held.plan.execution === 'topics') deps.topics.onInput(held, record, done, doubt !== undefined)
    else
      void deps.run(held, record, unit.scope, journaled.begun(key) ?? doubt).then((isDone) => {
        if (isDone) done()
      })
  }

  return {
    begin: (pipeline, isHandedOver) => {
      const before = units.get(pipeline)
      if (before !== undefined && before.ended === undefined) return
      const unit: Unit = {
        ending: new AbortController(),
        isHandedOver,
        scope: createScope(deps.signal),
        unread: undefined,
        begun: Promise.resolve(),
        ended: undefined,
      }
      units.set(pipeline, unit)
      unit.begun = Promise.resolve(before?.ended).then(() => begin(pipeline, unit))
    },
    end: async (pipeline, waitMs) => {
      const unit = units.get(pipeline)
      if (unit === undefined) return
      unit.ended ??= end(pipeline, unit, waitMs)
      await unit.ended
      if (units.get(pipeline) === unit) units.delete(pipeline)
    },
    names: () => [...units.keys()],
    refresh: (pipeline) => {
      const unit = units.get(pipeline)
      const isRead = (): boolean => unit !== undefined && units.get(pipeline) === unit && unit.ended === undefined
      // Before, nothing of it may run: what was begun is not known yet.
      void unit?.begun.then(() => {
        if (!isRead()) return
        deps.topics.refresh(pipeline)
        deps.external.changed(pipeline)
      })
    },
    stop: async (waitMs) => {
      const ended = [...units].map(([pipeline, unit]) => (unit.ended ??= end(pipeline, unit, waitMs)))
      await atMost(2 * waitMs, Promise.all(ended))
    },
    onRecord: (record, done) => {
      const end = parseTopicName(space, record.topic)
      if (end?.kind === 'pipeline') handle(end.name, record, done)
    },
  }
}

export const inputsOf = (space: TopicSpace, pipeline: string): string =>
  topicName(space, { kind: 'pipeline', name: pipeline, side: 'inputs' })

const endsOf = (name: string): readonly TopicEnd[] => [
  { kind: 'pipeline', name, side: 'inputs' },
  { kind: 'pipeline', name, side: 'outputs' },
  ERRORS,
]
