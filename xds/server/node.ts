import type { Cache, Touched } from '../cache/cache.ts'
import type { NodeStatus, Refusal, XdsLogger } from './events.ts'
import type { NodeRequest } from './messages.ts'
import { nextResponses, type Response } from './next-response.ts'
import { receiveRequest } from './receive-request.ts'
import { isWholeAgain, judgeRemovals } from './removal-guard.ts'
import { ackedRevision, createSession, type NodeRefusal, oweTouched } from './session.ts'

/** I2: a node that is owed something and says nothing for this long no longer counts. A held one counts: the silence is ours. */
export const SILENCE_MS = 5_000

interface NodeDeps {
  readonly cache: Cache
  readonly log: XdsLogger
  readonly write: (response: Response) => void
  readonly onRefusal: (refusal: Refusal) => void
  readonly now: () => number
}

/** One stream: a session, and the clock that it has not. */
export interface Node {
  receive(request: NodeRequest): void
  /** Something changed, or the state was loaded: it is owed, and sent as soon as the order allows. */
  owe(touched: readonly Touched[], revision: number): void
  /** Judges again whether too much would go (I9); `force`: never mind. */
  judge(force: boolean): void
  status(): NodeStatus
}

export function createNode({ cache, log, write, onRefusal, now }: NodeDeps): Node {
  const session = createSession(cache)
  const connectedAtMs = now()
  let nodeId = ''
  let heardAtMs = connectedAtMs
  let owesUsSinceMs: number | undefined // since when something is sent or to be asked for, and nothing was heard

  function pump(): void {
    if (session.heldBecause !== undefined && isWholeAgain(session, cache)) {
      session.heldBecause = undefined
      log.info({ node: nodeId }, 'node is sent what it is owed again: nothing that it has would be removed')
    }
    const { responses, refusals } = nextResponses(session, cache)
    report(refusals)
    for (const response of responses) {
      const { kind, nonce, resources, removed } = response
      log.debug({ node: nodeId, kind, nonce, resources: resources.length, removed: removed.length }, 'resources sent')
      write(response)
    }
    const isOwed = session.heldBecause === undefined && ackedRevision(session, cache) < (cache.revision() ?? -1)
    owesUsSinceMs = isOwed ? (owesUsSinceMs ?? now()) : undefined
  }

  function report(refusals: readonly NodeRefusal[]): void {
    for (const refusal of refusals) onRefusal({ node: nodeId, revision: cache.revision() ?? -1, ...refusal })
  }

  return {
    receive({ nodeId: id, kind, typeUrl, request }) {
      if (id !== '') nodeId = id
      heardAtMs = now()
      if (kind === undefined) {
        log.warn({ node: nodeId, typeUrl }, 'a node asks for a kind of resource that is not served')
        return
      }
      const { refusedResponse, refusals } = receiveRequest(session, cache, kind, request)
      if (refusedResponse !== undefined) log.error({ node: nodeId, kind, ...refusedResponse }, 'node refused resources')
      report(refusals)
      pump()
    },
    owe(touched, revision) {
      oweTouched(session, cache, touched, revision)
      pump()
    },
    judge(force) {
      session.forced = force
      session.heldBecause = force ? undefined : judgeRemovals(session, cache)
      if (session.heldBecause !== undefined)
        log.error({ node: nodeId, reason: session.heldBecause }, 'node is sent nothing: too much would be removed')
      pump()
    },
    status() {
      const silentFor = owesUsSinceMs === undefined ? 0 : now() - Math.max(heardAtMs, owesUsSinceMs)
      return {
        node: nodeId,
        ackedRevision: ackedRevision(session, cache),
        connectedAtMs,
        silentSinceMs: silentFor >= SILENCE_MS ? now() - silentFor : undefined,
        heldBecause: session.heldBecause,
      }
    },
  }
}
