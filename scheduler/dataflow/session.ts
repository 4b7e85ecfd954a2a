/**
 * One gateway's stream. What it shall be told is computed from the documents whenever the stream takes more: a slow gateway
 * holds no queue here but the names of pipelines that changed, and is then told of the newest state.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { GatewayMessage__Output } from '../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { Introduction__Output } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { SchedulerMessage } from '../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import type { PipelineDocument } from '../domain/documents.ts'
import type { Holdings } from './holdings.ts'
import { tell, type Told, TOLD_NOTHING } from './told.ts'

/** A gateway that takes nothing for this long is disconnected; it comes back and is told everything. */
const SEND_DEADLINE_MS = 30_000

export type GatewayStream = ServerDuplexStream<GatewayMessage__Output, SchedulerMessage>

export interface SessionDeps {
  readonly stream: GatewayStream
  readonly introduction: Introduction__Output
  readonly holdings: Holdings
  readonly storeId: string
  readonly pipeline: (name: string) => PipelineDocument | undefined
  readonly now: () => number
}

export interface Session {
  readonly name: string
  /** Tells everything about these pipelines, then that it is all. */
  readonly begin: (pipelines: Iterable<string>) => void
  readonly changed: (pipeline: string) => void
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
  const dirty = new Set<string>()
  let phase: 'introduced' | 'telling' | 'synchronised' = 'introduced'
  let blocked: NodeJS.Timeout | undefined
  for (const { pipeline, version, uid } of introduction.held) {
    const { held } = told.get(pipeline) ?? TOLD_NOTHING
    told.set(pipeline, { held: new Map([...held, [uid, version]]), unloading: false })
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
      if (phase === 'synchronised') told.delete(name) // it was told to unload before the record went
      return
    }
    const telling = tell(told.get(name) ?? TOLD_NOTHING, pipeline)
    told.set(name, telling.told)
    for (const uid of telling.gone) holdings.gone(uid)
    holdings.asked(name, telling.asked, deps.now())
    holdings.unloading(name, telling.unloads)
    for (const message of telling.messages) send(message)
  }

  function deliver(): void {
    if (phase === 'introduced') return
    for (const name of dirty) {
      if (blocked !== undefined) return
      dirty.delete(name)
      deliverOne(name)
    }
    if (phase === 'synchronised' || blocked !== undefined) return
    phase = 'synchronised'
    send({ synchronised: { held: everythingHeld(), storeId } })
  }

  /** I9: what another store gave, and this one does not know, is kept. */
  function everythingHeld() {
    const isOfThisStore = introduction.storeId === '' || introduction.storeId === storeId
    return [...told].flatMap(([pipeline, { held }]) => {
      const isUnknown = deps.pipeline(pipeline) === undefined
      return isUnknown && isOfThisStore ? [] : [...held].map(([uid, version]) => ({ pipeline, version, uid }))
    })
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
