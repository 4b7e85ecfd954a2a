/**
 * The local operator: follows the Server resources that users apply, and has the fleet run as many replicas as they say.
 * At its start `--servers`, when given, replaces the replicas that were applied before; from then on what is applied counts. A deleted
 * Server stops nothing: a scheduler that lost its state would say the same.
 */
import type { ServerResource } from '../../api/resources/resource.ts'
import type { StoredResource } from '../../api/resources/status.ts'
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { backoffMs, pause } from '../../kit/backoff.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Fleet } from './fleet.ts'
import { isServerKind, type ServerKind } from './kinds.ts'
import { differing, toWanted, undeclared } from './wanted.ts'

const WATCH_AGAIN = { minMs: 200, maxMs: 2_000 } as const

export interface OperatorDeps {
  readonly admin: Pick<AdminClient, 'apply' | 'list' | 'watch'>
  readonly fleet: Fleet
  /** Replicas by `--servers`. */
  readonly asked: ReadonlyMap<ServerKind, number>
  /** They were given, so they win over what was applied before. */
  readonly isAskedNow: boolean
  readonly tell: (line: string) => void
}

export interface Operator extends Running {
  /** Declares what nobody has applied yet, changes what `--servers` says otherwise, and starts what is applied. @throws ServingError when a replica does not start */
  start(): Promise<void>
  /** Follows changes until `stop`, also through restarts of the scheduler. */
  follow(): void
}

export function createOperator({ admin, fleet, asked, isAskedNow, tell }: OperatorDeps): Operator {
  const stopping = new AbortController()
  const told = new Set<string>()
  let following: Promise<void> = Promise.resolve()

  /** Every note once; a server that changed and is noteworthy again has another one. */
  const tellOnce = (note: string | undefined): void => {
    if (note === undefined || told.has(note)) return
    told.add(note)
    tell(note)
  }

  function take(resource: StoredResource): void {
    const wanted = toWanted(resource)
    if (wanted.kind === 'undeclared') {
      takeDeletion(resource.metadata.name)
      return
    }
    tellOnce(wanted.note)
    if (wanted.kind === 'replicas') fleet.want(wanted.server, wanted.count)
  }

  /** A server whose agents are there is still known when it was deleted, without a count. */
  function takeDeletion(name: string): void {
    if (isServerKind(name) && fleet.wanted(name) > 0)
      tellOnce(`server ${name} was deleted: its replicas run on; to stop them apply it with replicas: 0`)
  }

  async function watch(): Promise<void> {
    for (let attempt = 0; !stopping.signal.aborted; attempt += 1) {
      try {
        for await (const event of admin.watch('Server', '', stopping.signal)) {
          attempt = 0
          if (event.kind === 'state') take(event.resource)
          else takeDeletion(event.name)
        }
      } catch {
        // The scheduler is away or has another leader; its process is somebody else's to report.
      }
      await pause(backoffMs(attempt, WATCH_AGAIN), stopping.signal)
    }
  }

  return {
    start: async () => {
      const before = await admin.list('Server')
      for (const [server, replicas] of undeclared(asked, before)) await admin.apply(serverResource(server, replicas))
      for (const { resource, replicas, was } of isAskedNow ? differing(asked, before) : []) {
        await admin.apply(resource)
        const name = resource.metadata.name
        tell(`server ${name} gets ${String(replicas)} replicas, as --servers says; ${String(was)} were applied before`)
      }
      for (const resource of await admin.list('Server')) take(resource)
      await fleet.startWanted()
    },
    follow: () => {
      fleet.keep()
      following = watch()
    },
    stop: async () => {
      stopping.abort()
      await following
      await fleet.stop()
    },
  }
}

const serverResource = (server: ServerKind, replicas: number): ServerResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Server',
  metadata: { name: server },
  spec: { serverConfig: server, replicas },
})
