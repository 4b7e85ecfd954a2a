/** What is compared: the instant server alone, behind a plain Envoy, behind a whole Millrace, and behind its agent's proxy too. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toEnvoyArguments } from '../../envoy/arguments.ts'
import { freePorts } from '../../test/support/free-ports.ts'
import { startMesh } from '../../test/support/mesh.ts'
import { applyAvailable } from '../../test/support/models.ts'
import { setToolPaths } from '../../test/support/tools.ts'
import type { ReplicaPorts } from '../../up/ports.ts'
import type { ProcessSpec } from '../../up/supervisor/spec.ts'
import type { NativeTools } from '../support/native.ts'
import { toPlainBootstrap } from './plain-envoy.ts'

const HOST = '127.0.0.1'
const MODEL = 'iris'
const AGENT_MODEL = 'iris-agent'
const PLAIN_ENVOY = 'plain-envoy'
const READY_TIMEOUT_MS = 30_000

export interface Contender {
  readonly name: 'direct' | 'plain' | 'millrace' | 'agent'
  readonly rest: string
  readonly grpc: string
  readonly model: string
  /** The processes whose CPU is charged; none for the server alone. */
  readonly pids: readonly number[]
}

export interface Arena {
  readonly contenders: readonly Contender[]
  readonly envoyPids: readonly number[]
  /** Everything else that runs: shares the second core with server and load. */
  readonly otherPids: readonly number[]
  stop(): Promise<void>
}

/** Starts all of it on free ports in a folder of its own. `nameSource` decides whether Millrace rewrites messages. */
export async function openArena(tools: NativeTools, nameSource: 'header' | 'message'): Promise<Arena> {
  await setToolPaths()
  const [ingressPort = 0, adminPort = 0] = await freePorts(2)
  let server: Pick<ReplicaPorts, 'rest' | 'grpc'> = { rest: 0, grpc: 0 }
  const mesh = await startMesh({
    replicas: 1,
    envoyConcurrency: 1,
    modelServer: [tools.server],
    agentFlags: ['--name-source', nameSource],
    moreProcesses: ({ replicas: [first] }, folder) => {
      server = first ?? server
      return [planPlainEnvoy(folder, { ingressPort, adminPort, restPort: server.rest, grpcPort: server.grpc })]
    },
  })
  try {
    await applyAvailable(mesh.admin, MODEL, { replicas: 1 })
    await applyAvailable(mesh.admin, AGENT_MODEL, { replicas: 1, dataPath: 'agent' })
  } catch (error) {
    await mesh.stop()
    throw error
  }
  const behind = (address: string): { rest: string; grpc: string } => ({ rest: address, grpc: address })
  const [plainEnvoy, envoy, agent] = [mesh.pid(PLAIN_ENVOY), mesh.pid('envoy-0'), mesh.pid('agent-embedded-0')]
  return {
    contenders: [
      {
        name: 'direct',
        model: MODEL,
        rest: `${HOST}:${String(server.rest)}`,
        grpc: `${HOST}:${String(server.grpc)}`,
        pids: [],
      },
      { name: 'plain', model: MODEL, ...behind(`${HOST}:${String(ingressPort)}`), pids: [plainEnvoy] },
      { name: 'millrace', model: MODEL, ...behind(mesh.ingress), pids: [envoy] },
      { name: 'agent', model: AGENT_MODEL, ...behind(mesh.ingress), pids: [envoy, agent] },
    ],
    envoyPids: [plainEnvoy, envoy],
    otherPids: mesh.childNames
      .filter((name) => name !== 'envoy-0' && name !== PLAIN_ENVOY)
      .map((name) => mesh.pid(name)),
    stop: () => mesh.stop(),
  }
}

function planPlainEnvoy(folder: string, ports: Parameters<typeof toPlainBootstrap>[0]): ProcessSpec {
  const bootstrapPath = join(folder, 'plain-envoy.json')
  writeFileSync(bootstrapPath, toPlainBootstrap(ports))
  return {
    name: PLAIN_ENVOY,
    command: process.env['MILLRACE_TEST_ENVOY'] ?? '',
    args: toEnvoyArguments({ bootstrapPath, concurrency: 1, logLevel: 'warning' }),
    environment: {},
    after: [],
    readiness: { kind: 'http', url: `http://${HOST}:${String(ports.adminPort)}/ready` },
    readyTimeoutMs: READY_TIMEOUT_MS,
    stopStage: 0,
    stopTimeoutMs: 500,
  }
}
