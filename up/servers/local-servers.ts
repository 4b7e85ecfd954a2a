/** The model servers of `millrace up`: the operator, the fleet it steers, and where their commands and ports come from. */
import type { AdminClient } from '../../cli/client/admin-client.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { checkPortsFree } from '../port-check.ts'
import type { MeshSecurity } from '../security.ts'
import { type PortUse, replicaPorts, replicaPortUses } from '../ports.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import type { ToolsContext } from '../tools/find-tools.ts'
import { findMlserver, MLSERVER_CAPABILITIES } from '../tools/mlserver.ts'
import { untilAgentConnected } from './agent-connection.ts'
import { createFleet, DRAIN_DEADLINE_MS } from './fleet.ts'
import { javascriptModelsFlags } from './javascript-models.ts'
import type { ServerKind } from './kinds.ts'
import { createOperator } from './operator.ts'
import { planReplica } from './replica-plan.ts'

export interface LocalServersOptions {
  readonly admin: AdminClient
  readonly supervisor: Supervisor
  /** Replicas by `--servers`. */
  readonly asked: ReadonlyMap<ServerKind, number>
  /** `--servers` was given, and is not what a first start begins with. */
  readonly isAskedNow: boolean
  readonly tools: ToolsContext
  readonly host: string
  readonly folder: string
  readonly portOffset: number
  readonly agentsPort: number
  readonly ingressPort: number
  readonly artifactRoots: readonly string[]
  /** Whether embedded servers take JavaScript models. */
  readonly javascriptModels: boolean
  readonly security: MeshSecurity
  /** Command and first arguments of our own processes. */
  readonly millrace: readonly string[]
  readonly tell: (line: string) => void
}

export interface LocalServers extends Running {
  /** Fetches what the kinds of `--servers` need. */
  prepare(): Promise<void>
  /** Starts the replicas that are applied, or asked for; the scheduler must be there. */
  start(): Promise<void>
  /** Replicas that a server shall have. */
  count(server: ServerKind): number
  /** From now on brings about what is applied. */
  follow(): void
}

export function createLocalServers(options: LocalServersOptions): LocalServers {
  const { admin, supervisor, asked, tools, host, folder, portOffset, agentsPort, artifactRoots, millrace } = options

  /** Command and first arguments of a kind of model server, fetched when it is missing. */
  const commandOf = async (kind: ServerKind): Promise<readonly string[]> => {
    switch (kind) {
      case 'embedded':
        return [...millrace, 'model-server']
      case 'mlserver':
        return [await findMlserver(tools)]
    }
  }
  const fleet = createFleet({
    supervisor,
    plan: async (server, index) =>
      planReplica({
        server,
        kind: server,
        index,
        ports: replicaPorts(server, index, portOffset),
        millrace,
        modelServer: await commandOf(server),
        host,
        folder,
        agentsPort,
        ingressPort: options.ingressPort,
        artifactRoots,
        ...(server === 'mlserver' ? { capabilities: MLSERVER_CAPABILITIES } : {}),
        drainDeadlineMs: DRAIN_DEADLINE_MS,
        security: options.security,
        extraFlags: javascriptModelsFlags(server, options.javascriptModels),
      }),
    checkPorts: (server, index) => checkPortsFree(replicaPortUses(replicaPorts(server, index, portOffset)), host),
    untilConnected: (server, index, signal) => untilAgentConnected(admin, server, index, signal),
    tell: options.tell,
    nowMs: Date.now,
  })
  const operator = createOperator({ admin, fleet, asked, isAskedNow: options.isAskedNow, tell: options.tell })
  return {
    prepare: async () => {
      for (const [kind, replicas] of asked) if (replicas > 0) await commandOf(kind)
    },
    start: operator.start,
    count: fleet.wanted,
    follow: operator.follow,
    stop: operator.stop,
  }
}

/** The ports of the replicas that a first start runs. */
export function initialPortUses(asked: ReadonlyMap<ServerKind, number>, portOffset: number): PortUse[] {
  return [...asked].flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, index) => replicaPortUses(replicaPorts(kind, index, portOffset))).flat(),
  )
}
