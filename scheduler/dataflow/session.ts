/**
 * One stream of a pipeline gateway, an engine or a model gateway. What it shall be told is computed from the documents and the
 * shares whenever the stream takes more: a slow one holds no queue here but the names of what changed, and is then told of the
 * newest state.
 */
import type { AliveGateway } from '../../api/generated/millrace/dataflow/AliveGateway.ts'
import type { Introduction__Output } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { SchedulerMessage } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import type { PipelineDocument } from '../domain/documents.ts'
import type { Holdings } from './holdings.ts'
import type { DataflowStream } from './streams.ts'
import { createUnitsTold, type UnitsToTell } from './units-told.ts'
import { tell, type Told, TOLD_NOTHING } from './told.ts'

/** A gateway that takes nothing for this long is disconnected; it comes back and is told everything. */
const SEND_DEADLINE_MS = 30_000

export interface SessionDeps {
  readonly stream: DataflowStream
  readonly introduction: Introduction__Output
  readonly holdings: Holdings
  readonly storeId: string
  /** As it is meant for this one; undefined: it shall hold nothing of that name. */
  readonly pipeline: (name: string) => PipelineDocument | undefined
  /** A pipeline gateway has none. */
  readonly units?: UnitsToTell
  readonly now: () => number
}

export interface Session {
  readonly name: string
  /** Tells everything about these pipelines, then that it is all. */
  readonly begin: (pipelines: Iterable<string>) => void
  readonly changed: (pipeline: string) => void
  /** It stands otherwise with this unit. */
  readonly unitChanged: (unit: string) => void
  /** It said that it does not read the unit any more. */
  readonly unitReleased: (unit: string) => void
  /** These gateways live; only the newest list is sent. */
  readonly sayAlive: (gateways: readonly AliveGateway[]) => void
  /** Asks once more for a load; false when nobody wants it any more. */
  readonly loadAgain: (pipeline: string, uid: string) => boolean
  /** Asks once more to unload a deleted pipeline. */
  readonly unloadAgain: (pipeline: string) => void
  /** Sends what changed, as far as the stream takes it. */
  readonly deliver: () => void
  readonly drained: (reason: string) => void
  readonly end: () => void
}

export function createSession(deps: SessionDeps): Session {
  const { stream, introduction, holdings, storeId } = deps
  const told = new Map<string, Told>()
  const units = createUnitsTold(introduction.heldUnits, deps.units)
  const dirty = new Set<string>()
  let alive: readonly AliveGateway[] | undefined
  const isOfThisStore = introduction.storeId === '' || introduction.storeId === storeId
  let phase: 'introduced' | 'telling' | 'synchronised' = 'introduced'
  let blocked: NodeJS.Timeout | undefined
  for (const { pipeline, version, uid } of introduction.held) {
    const { held } = told.get(pipeline) ?? TOLD_NOTHING
    told.set(pipeline, { held: new Map([...held, [uid, version]]) })
  }

  const send = (message: SchedulerMessage): void => {
    if (stream.destroyed || stream.writableEnded || stream.write(message)) return
    blocked ??= setTimeout(() => {
      stream.destroy(new Error('the gateway takes no messages'))
    }, SEND_DEADLINE_MS)
  }

  function deliverOne(name: string): void {
    const pipeline = deps.pipeline(name)
    if (pipeline === undefined) {
      if (phase === 'synchronised') forget(name)
      return
    }
    const telling = tell(told.get(name) ?? TOLD_NOTHING, pipeline)
    told.set(name, telling.told)
    for (const uid of telling.gone) holdings.gone(uid)
    holdings.asked(name, telling.asked, deps.now())
    holdings.unloading(name, telling.unloads, telling.step)
    for (const message of telling.messages) send(message)
  }

  /** A gateway was told to unload it before the record went; from others it may have moved away. */
  function forget(name: string): void {
    for (const [uid, version] of told.get(name)?.held ?? []) {
      send({ unload: { pipeline: name, version, keepTopics: true } })
      holdings.gone(uid)
    }
    told.delete(name)
  }

  function deliver(): void {
    if (phase === 'introduced') return
    if (alive !== undefined && blocked === undefined) {
      send({ gatewaysAlive: { gateways: [...alive] } })
      alive = undefined
    }
    for (const name of dirty) {
      if (blocked !== undefined) return
      dirty.delete(name)
      deliverOne(name)
    }
    for (const message of units.messages()) {
      send(message)
      if (blocked !== undefined) return
    }
    if (phase === 'synchronised' || blocked !== undefined) return
    phase = 'synchronised'
    send({ synchronised: { held: everythingHeld(), storeId, heldUnits: [...units.synchronise(isOfThisStore)] } })
  }

  /** I9: what another store gave, and this one does not know, is kept; of this store it goes, now that it is not named. */
  function everythingHeld() {
    for (const pipeline of told.keys())
      if (isOfThisStore && deps.pipeline(pipeline) === undefined) told.delete(pipeline)
    return [...told].flatMap(([pipeline, { held }]) => [...held].map(([uid, version]) => ({ pipeline, version, uid })))
  }

  function loadAgain(pipeline: string, uid: string): boolean {
    const before = told.get(pipeline)
    if (before?.held.has(uid) !== true) return false
    told.set(pipeline, { ...before, held: new Map([...before.held].filter(([one]) => one !== uid)) })
    dirty.add(pipeline)
    return true
  }

  stream.on('drain', () => {
    clearTimeout(blocked)
    blocked = undefined
    deliver()
  })
  stream.on('close', () => {
    clearTimeout(blocked)
  })

  return {
    name: introduction.name,
    begin: (pipelines) => {
      phase = 'telling'
      for (const name of pipelines) dirty.add(name)
      deliver()
    },
    changed: (pipeline) => {
      dirty.add(pipeline)
    },
    unitChanged: units.changed,
    unitReleased: units.released,
    sayAlive: (gateways) => {
      alive = gateways
    },
    loadAgain,
    unloadAgain: (pipeline) => {
      told.delete(pipeline)
      dirty.add(pipeline)
    },
    deliver,
    drained: (reason) => {
      send({ drained: { reason } })
    },
    end: () => {
      clearTimeout(blocked)
      stream.end()
    },
  }
}
