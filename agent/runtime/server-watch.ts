/** Checks the model server several times a second and says when it went, came back, or lost models. */
import { everyMs } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { type Liveness, nextLiveness } from './liveness.ts'
import type { Runtime } from './oip-client.ts'

export type ServerEvent =
  | { readonly kind: 'down'; readonly reason: string }
  /** A server that was not known until now: the first one, one that came back, or one that replaced it in between. */
  | { readonly kind: 'up'; readonly loaded: ReadonlySet<string> }
  /** What the same server has now. */
  | { readonly kind: 'audit'; readonly loaded: ReadonlySet<string> }

interface Deps {
  readonly runtime: Runtime
  readonly intervalMs: number
  /** How often a server that is up is asked what it has, in case somebody else unloaded something. */
  readonly auditIntervalMs: number
  readonly onEvent: (event: ServerEvent) => void
  /** Grows with every load and unload: an index read while it grew is out of date. */
  readonly activity: () => number
  /** True: do not wait for the next audit. */
  readonly doubtful: () => boolean
  /** How long it may now be too busy to answer: until then only a connection that breaks counts against it. */
  readonly patienceMs: () => number
  readonly log: Logger
  readonly nowMs: () => number
}

/** Starts watching; resolves after the first check, so that its result can be told from the start. */
export async function startServerWatch(deps: Deps): Promise<Running> {
  const { runtime, log } = deps
  const stopping = new AbortController()
  let liveness: Liveness = { kind: 'Down', reason: 'not checked yet' }
  let announced: { kind: 'none' } | { kind: 'down' } | { kind: 'up'; life: number } = { kind: 'none' }
  let auditAtMs = 0
  let aliveAtMs = -Infinity

  const announceDown = (reason: string): void => {
    if (announced.kind === 'down') return
    announced = { kind: 'down' }
    log.warn({ reason }, 'model server is down')
    deps.onEvent({ kind: 'down', reason })
  }

  const readIndex = async (kind: 'up' | 'audit', life: number): Promise<void> => {
    const activity = deps.activity()
    const loaded = await runtime.loadedModels()
    if (runtime.connectionsLost() !== life) return // answered by one server, and there is another by now
    auditAtMs = deps.nowMs() + deps.auditIntervalMs
    if (kind === 'audit' && deps.activity() !== activity) return
    if (kind === 'up') log.info({ loadedModels: loaded.size }, 'model server is up')
    announced = { kind: 'up', life }
    deps.onEvent({ kind, loaded })
  }

  const checkOnce = async (): Promise<void> => {
    const check = await runtime.check()
    if (check.kind === 'alive') aliveAtMs = deps.nowMs()
    if (check.kind === 'failed' && deps.nowMs() - aliveAtMs < deps.patienceMs()) return
    liveness = nextLiveness(liveness, check)
    if (liveness.kind === 'Down') {
      announceDown(liveness.reason)
      return
    }
    if (check.kind !== 'alive') return
    const life = runtime.connectionsLost()
    const isNew = announced.kind !== 'up' || announced.life !== life
    if (!isNew && !deps.doubtful() && deps.nowMs() < auditAtMs) return
    try {
      await readIndex(isNew ? 'up' : 'audit', life)
    } catch (error) {
      const reason = toServingError(error).message
      log.warn({ reason }, 'model server does not say which models it has')
      if (isNew) announceDown(reason)
    }
  }

  await checkOnce()
  const running = everyMs(deps.intervalMs, stopping.signal, checkOnce)
  return {
    async stop() {
      stopping.abort()
      await running
    },
  }
}
