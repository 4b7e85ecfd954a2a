/**
 * What Envoys have ACKed, of every scheduler's nodes.
 *
 * I2: a node counts while it is connected and not silent (5 s with something to answer, see xds); of other schedulers'
 * nodes the board in Redis tells, whose entries expire (I7).
 */
import { everyMs } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { NodeStatus, Refusal } from '../../xds/index.ts'
import type { NodeAck, NodeDetails, Store } from '../domain/store.ts'

const EXCHANGE_MS = 500

export interface AcksDeps {
  readonly store: Pick<Store, 'putAcks' | 'acks'>
  readonly schedulerId: string
  readonly nodes: () => readonly NodeStatus[]
  /** What a node of this scheduler refused, for the board. */
  readonly refusedBy: (node: string) => NonNullable<NodeAck['refused']>
  readonly detailsOf: (node: NodeStatus) => NodeDetails
  /** An Envoy of another scheduler refused a route. */
  readonly onRefusal: (refusal: Pick<Refusal, 'node' | 'kind' | 'key' | 'reason'>) => void
  /** More may be ACKed than before, or the counting nodes changed. */
  readonly onAdvance: () => void
  /** From a routing change to the ACK of every counting node. */
  readonly onAcked: (seconds: number) => void
  readonly log: Logger
}

export interface Acks extends Running {
  /** Envoys were told of a change; one change at a time is timed. */
  readonly published: (revision: number) => void
  /** A local node advanced, came or went. */
  readonly changed: () => void
  readonly isAcked: (revision: number) => boolean | 'no-node'
  /** Nodes of this scheduler that are sent nothing (I9). */
  readonly heldNodes: () => readonly string[]
  readonly countingNodes: () => number
  /** Of every scheduler, counting or not. */
  readonly nodes: () => readonly NodeAck[]
}

export function startAcks(deps: AcksDeps): Acks {
  const abort = new AbortController()
  let elsewhere: readonly NodeAck[] = []
  let known = summary()
  let timed: { readonly revision: number; readonly sinceMs: number } | undefined

  function local(): readonly NodeAck[] {
    return deps.nodes().map((status) => ({
      node: status.node,
      scheduler: deps.schedulerId,
      ackedRevision: status.ackedRevision,
      silent: status.silentSinceMs !== undefined,
      refused: deps.refusedBy(status.node),
      told: deps.detailsOf(status),
    }))
  }

  /** The least that every counting node has ACKed; undefined without nodes. */
  function summary(): { acked: number | undefined; nodes: number } {
    const counting = countingAcks(local(), elsewhere)
    const acked = counting.length === 0 ? undefined : Math.min(...counting.map((ack) => ack.ackedRevision))
    return { acked, nodes: counting.length }
  }

  function changed(): void {
    const next = summary()
    if (next.acked === known.acked && next.nodes === known.nodes) return
    known = next
    if (timed !== undefined && (next.acked ?? -1) >= timed.revision) {
      deps.onAcked((performance.now() - timed.sinceMs) / 1_000)
      timed = undefined
    }
    deps.onAdvance()
  }

  const exchanging = everyMs(EXCHANGE_MS, abort.signal, async () => {
    try {
      await deps.store.putAcks(local())
      elsewhere = (await deps.store.acks()).filter((ack) => ack.scheduler !== deps.schedulerId)
      for (const { node, refused = [] } of elsewhere)
        // before what they ACKed is looked at
        for (const { target, reason } of refused) deps.onRefusal({ node, kind: 'route', key: target, reason })
    } catch (error) {
      deps.log.debug({ error: toServingError(error).message }, 'ACKs not exchanged')
    }
    changed() // time alone makes a node silent
  })

  return {
    published: (revision) => {
      if (known.nodes > 0) timed ??= { revision, sinceMs: performance.now() }
    },
    changed,
    isAcked: (revision) => {
      const { acked } = known
      return acked === undefined ? 'no-node' : acked >= revision
    },
    heldNodes: () => deps.nodes().flatMap(({ node, heldBecause }) => (heldBecause === undefined ? [] : [node])),
    countingNodes: () => known.nodes,
    nodes: () => allAcks(local(), elsewhere),
    stop: async () => {
      abort.abort()
      await exchanging
    },
  }
}

/** Nodes that count. */
export const countingAcks = (local: readonly NodeAck[], elsewhere: readonly NodeAck[]): readonly NodeAck[] =>
  allAcks(local, elsewhere).filter((ack) => !ack.silent)

/** One that moved here from another scheduler is there once, as it is here. */
function allAcks(local: readonly NodeAck[], elsewhere: readonly NodeAck[]): readonly NodeAck[] {
  const here = new Set(local.map((ack) => ack.node))
  return [...local, ...elsewhere.filter((ack) => !here.has(ack.node))]
}
