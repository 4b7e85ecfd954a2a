/** Streams of agents and gateways: they belong to the leader, and begin by saying who they are. */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { ServingError } from '../../kit/errors.ts'
import { toGrpcStatus } from '../../kit/grpc.ts'
import type { Logger } from '../../kit/log.ts'
import type { ControlPlane } from '../loop/control-plane.ts'
import type { LeadershipRun } from '../loop/leadership.ts'

const FIRST_MESSAGE_DEADLINE_MS = 10_000

interface Redirecting {
  readonly redirect?: { readonly address: string } | null
}

/** The leader takes the stream; another scheduler sends the peer there. */
export function leaderStream<Up, Down extends Redirecting>(
  controlPlane: Pick<ControlPlane, 'role'>,
  accept: (run: LeadershipRun, stream: ServerDuplexStream<Up, Down | Redirecting>) => void,
): (stream: ServerDuplexStream<Up, Down | Redirecting>) => void {
  return (stream) => {
    const role = controlPlane.role()
    if (role.kind === 'leading') {
      accept(role.run, stream)
      return
    }
    if (role.leader === undefined) {
      const error = new ServingError('NOT_LEADER', 'no scheduler leads at the moment: connect again')
      stream.emit('error', toGrpcStatus(error))
      return
    }
    stream.on('error', () => undefined) // it is sent away in any case
    stream.write({ redirect: { address: role.leader.agentAddress } })
    stream.end()
  }
}

export interface PeerDeps<Up, First, Peer> {
  /** What the first message is called, for the error when it does not come. */
  readonly expected: string
  /** Who the peer says it is; undefined when this message does not say it. */
  readonly first: (message: Up) => First | null | undefined
  /** @throws ServingError: it is refused. */
  readonly connect: (first: First) => Peer
  /** Of every later message. What it throws ends the stream with its status. */
  readonly receive: (peer: Peer, message: Up) => void
  readonly nameOf: (peer: Peer) => string
  readonly log: Logger
}

/** Listens to one peer until its stream ends. */
export function acceptPeer<Up, Down, First, Peer>(
  stream: ServerDuplexStream<Up, Down>,
  { expected, first, connect, receive, nameOf, log }: PeerDeps<Up, First, Peer>,
): void {
  let peer: Peer | undefined
  const refuse = (error: unknown): void => {
    stream.emit('error', toGrpcStatus(error))
  }
  const deadline = setTimeout(() => {
    refuse(new ServingError('REQUEST_INVALID', `no ${expected} came`))
  }, FIRST_MESSAGE_DEADLINE_MS)
  stream.on('close', () => {
    clearTimeout(deadline)
  })
  stream.on('error', (error) => {
    log.debug({ peer: peer && nameOf(peer), error: error.message }, 'a stream ended with an error')
  })
  stream.on('end', () => stream.end())
  stream.on('data', (message: Up) => {
    try {
      const said = first(message)
      if (said !== null && said !== undefined) {
        clearTimeout(deadline)
        peer ??= connect(said)
      } else if (peer !== undefined) receive(peer, message)
    } catch (error) {
      refuse(error)
    }
  })
}
