/** An agent in this process between a fake scheduler and a fake model server, with folders of its own. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAgent } from '../../agent/agent.ts'
import type { AgentConfig } from '../../agent/config.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { silentLogger } from '../../kit/log.ts'
import { type FakeOipServer, startFakeOipServer } from './fake-oip-server.ts'
import { type FakeScheduler, startFakeScheduler } from './fake-scheduler.ts'

export interface RunningAgent {
  readonly httpPort: number
  /** As SIGTERM. */
  stop(): Promise<void>
}

export interface AgentRig {
  readonly scheduler: FakeScheduler
  readonly server: FakeOipServer
  readonly repository: string
  readonly artifacts: string
  /** Makes an artefact folder; returns its path. */
  artifact(name: string, files?: Readonly<Record<string, string>>): Promise<string>
  startAgent(overrides?: Partial<AgentConfig>): Promise<RunningAgent>
  stop(): Promise<void>
}

export async function createAgentRig(): Promise<AgentRig> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-agent-'))
  const repository = join(folder, 'repository')
  const artifacts = join(folder, 'artifacts')
  await mkdir(artifacts)
  const scheduler = await startFakeScheduler()
  const server = await startFakeOipServer()
  const agents: RunningAgent[] = []

  const configOf = (): AgentConfig => ({
    scheduler: scheduler.address,
    serverName: 'embedded',
    replicaIndex: 0,
    serverType: 'embedded',
    nameSource: 'server-type',
    serverHost: '127.0.0.1',
    serverRestPort: 1,
    serverGrpcPort: server.port,
    serverTls: false,
    ingressUrl: 'http://127.0.0.1:9000',
    repository,
    artifactRoots: [artifacts],
    memoryBytes: 1_000,
    overcommitPercentage: 0,
    capabilities: [],
    extraCapabilities: [],
    healthIntervalMs: 50,
    healthDeadlineMs: 300,
    auditIntervalMs: 60_000,
    loadDeadlineMs: 5_000,
    unloadDeadlineMs: 5_000,
    maxParallelLoads: 4,
    drainDeadlineMs: 0, // its scheduler is gone when it stops
    proxyRestPort: 0,
    proxyGrpcPort: 0,
    proxyMaxConnections: 16,
    proxyMaxRequests: 64,
    proxyDrainDeadlineMs: 1_000,
    host: '127.0.0.1',
    httpPort: 0,
    logLevel: 'error',
  })

  return {
    scheduler,
    server,
    repository,
    artifacts,
    async artifact(name, files = { 'model.onnx': 'weights' }) {
      const path = join(artifacts, name)
      await mkdir(path, { recursive: true })
      for (const [file, content] of Object.entries(files)) await writeFile(join(path, file), content)
      return path
    },
    async startAgent(overrides = {}) {
      const running: Running[] = []
      const config = { ...configOf(), ...overrides }
      const { httpPort } = await startAgent(config, silentLogger, (_name, part) => running.unshift(part))
      const agent: RunningAgent = {
        httpPort,
        async stop() {
          for (const part of running.splice(0)) await part.stop()
        },
      }
      agents.push(agent)
      return agent
    },
    async stop() {
      await scheduler.kill() // nobody is left to drain
      for (const agent of agents) await agent.stop()
      await server.kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
