/**
 * A mesh whose scheduler and Envoy are real and whose model servers are many: one real agent with the embedded server,
 * and a fleet of fake replicas, instant servers in one native process, their agents in one other. The last replica has
 * processes of its own, so that it can be lost.
 */
import { join } from 'node:path'
import { packageRoot } from '../../kit/root.ts'
import { freePorts } from '../../test/support/free-ports.ts'
import { startMesh, type TestMesh } from '../../test/support/mesh.ts'
import { setToolPaths } from '../../test/support/tools.ts'
import type { ProcessSpec } from '../../up/supervisor/spec.ts'
import type { FleetAgentsOptions } from './fleet-agents.ts'
import { createModelLoader, type ModelLoader } from './model-loader.ts'
import type { NativeTools } from './native.ts'

/** The server resource of the fleet, and what only its replicas can run. */
const FLEET = 'fleet'
export const FLEET_CAPABILITY = 'sklearn'
const FLEET_REPLICAS = 50
const MEMORY_BYTES = 4 * 1024 ** 3
const HOST = '127.0.0.1'
const READY_TIMEOUT_MS = 60_000

/** The replica that can be lost, and its processes. */
const LAST_REPLICA = `${FLEET}/${String(FLEET_REPLICAS - 1)}`
const LAST = { server: 'last-server', agent: 'last-agent' } as const

type Replica = FleetAgentsOptions['replicas'][number]

export interface FleetMesh {
  readonly mesh: TestMesh
  readonly loader: ModelLoader
  readonly lastReplica: string
  /** Kills the server and the agent of the last replica. */
  loseReplica(): Promise<void>
  stop(): Promise<void>
}

export async function startFleetMesh(tools: NativeTools): Promise<FleetMesh> {
  await setToolPaths()
  const ports = await freePorts(2 * FLEET_REPLICAS + 2)
  const [agentsHttp = 0, lastHttp = 0] = ports.splice(0, 2)
  const replicas = Array.from({ length: FLEET_REPLICAS }, (_, index) => {
    const [restPort = 0, grpcPort = 0] = ports.splice(0, 2)
    return { index, restPort, grpcPort }
  })
  const [others, last] = [replicas.slice(0, -1), replicas.slice(-1)]
  const mesh = await startMesh({
    replicas: 1,
    envoyConcurrency: 1,
    moreProcesses: ({ agents }) => [
      planServers('fleet-servers', tools, others),
      planServers(LAST.server, tools, last),
      planAgents('fleet-agents', { schedulerPort: agents, httpPort: agentsHttp, replicas: others }),
      planAgents(LAST.agent, { schedulerPort: agents, httpPort: lastHttp, replicas: last }),
    ],
  })
  const loader = createModelLoader(mesh.scheduler)
  await mesh.admin.apply({
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Server',
    metadata: { name: FLEET },
    spec: { replicas: FLEET_REPLICAS },
  })
  return {
    mesh,
    loader,
    lastReplica: LAST_REPLICA,
    loseReplica: async () => {
      await Promise.all(Object.values(LAST).map((name) => mesh.kill(name)))
    },
    stop: async () => {
      loader.close()
      await mesh.stop()
    },
  }
}

const STOP = { stopStage: 3, stopTimeoutMs: 1_000 } as const

function planServers(name: string, tools: NativeTools, replicas: readonly Replica[]): ProcessSpec {
  const [first, ...more] = replicas
  const rest = first?.restPort ?? 0
  return {
    ...STOP,
    name,
    command: tools.server,
    args: [
      `-rest-port=${String(rest)}`,
      `-grpc-port=${String(first?.grpcPort ?? 0)}`,
      `-more=${more.map(({ restPort, grpcPort }) => `${String(restPort)}:${String(grpcPort)}`).join(',')}`,
    ],
    environment: {},
    after: [],
    readiness: { kind: 'http', url: `http://${HOST}:${String(rest)}/v2/health/ready` },
    readyTimeoutMs: READY_TIMEOUT_MS,
  }
}

function planAgents(
  name: string,
  options: Pick<FleetAgentsOptions, 'schedulerPort' | 'httpPort' | 'replicas'>,
): ProcessSpec {
  const all: FleetAgentsOptions = { ...options, server: FLEET, capability: FLEET_CAPABILITY, memoryBytes: MEMORY_BYTES }
  return {
    ...STOP,
    name,
    command: process.execPath,
    args: ['--import', 'tsx', join(packageRoot, 'bench/support/fleet-agents.ts'), JSON.stringify(all)],
    environment: {},
    after: ['scheduler', 'fleet-servers', LAST.server],
    readiness: { kind: 'http', url: `http://${HOST}:${String(options.httpPort)}/readyz` },
    readyTimeoutMs: READY_TIMEOUT_MS,
  }
}
