/** A scheduler with agents and Envoys around it, all in this process, all stopped together. */
import { createFakeAgent, type FakeAgent, type FakeAgentOptions } from './fake-agent.ts'
import { connectFakeEnvoy, type FakeEnvoy, type FakeEnvoyOptions } from './fake-envoy.ts'
import { createFakeGateway, type FakeGateway, type FakeGatewayOptions } from './fake-gateway.ts'
import type { TestRedis } from './redis.ts'
import { freshPrefix, type SchedulerRig, startSchedulerRig } from './scheduler-rig.ts'

export interface LiveScene {
  /** The scheduler that runs now. */
  readonly rig: SchedulerRig
  readonly keyPrefix: string
  agent(options?: Omit<FakeAgentOptions, 'schedulerPort'>): FakeAgent
  gateway(options?: Omit<FakeGatewayOptions, 'schedulerPort'>): FakeGateway
  envoy(node?: string, refuse?: FakeEnvoyOptions['refuse'], versions?: FakeEnvoyOptions['versions']): FakeEnvoy
  /** Stops the scheduler and starts another one over the same state, on the same agent port. */
  restart(flags?: readonly string[]): Promise<void>
  /** Another scheduler over the same state. */
  another(flags: readonly string[]): Promise<SchedulerRig>
  /** Longer than a drain in tests, to see what does not happen. */
  settle(): Promise<void>
  stop(): Promise<void>
}

/** Several times the drain time of the rig. */
const SETTLE_MS = 300

export async function createLiveScene(redis: TestRedis, flags: readonly string[] = []): Promise<LiveScene> {
  const keyPrefix = freshPrefix()
  const parts: { close(): void }[] = []
  const others: SchedulerRig[] = []
  const start = (more: readonly string[]): Promise<SchedulerRig> =>
    startSchedulerRig({ redisUrl: redis.url, keyPrefix, flags: [...flags, ...more] })
  let rig = await start([])
  return {
    get rig() {
      return rig
    },
    keyPrefix,
    agent: (options = {}) => {
      const agent = createFakeAgent({ schedulerPort: rig.ports.agent, ...options })
      parts.push(agent)
      agent.connect()
      return agent
    },
    gateway: (options = {}) => {
      const gateway = createFakeGateway({ schedulerPort: rig.ports.agent, ...options })
      parts.push(gateway)
      gateway.connect()
      return gateway
    },
    envoy: (node = 'envoy', refuse, versions) => {
      const envoy = connectFakeEnvoy({
        port: rig.ports.xds,
        node,
        ...(refuse === undefined ? {} : { refuse }),
        ...(versions === undefined ? {} : { versions }),
      })
      parts.push(envoy)
      return envoy
    },
    restart: async (more = []) => {
      const { agent } = rig.ports
      await rig.stop()
      rig = await start(['--agent-port', String(agent), ...more])
    },
    another: async (more) => {
      const other = await start(more)
      others.push(other)
      return other
    },
    settle: () =>
      new Promise((resolve) => {
        setTimeout(resolve, SETTLE_MS)
      }),
    stop: async () => {
      for (const part of parts.splice(0)) part.close()
      for (const other of [...others.splice(0), rig]) await other.stop()
    },
  }
}
