/** A scheduler with agents and Envoys around it, all in this process, all stopped together. */
import type { ClientReadableStream } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { collectStream } from './collect-stream.ts'
import { createFakeAgent, type FakeAgent, type FakeAgentOptions } from './fake-agent.ts'
import { connectFakeEnvoy, type FakeEnvoy, type FakeEnvoyOptions } from './fake-envoy.ts'
import { createFakeGateway, type FakeGateway, type FakeGatewayOptions } from './fake-gateway.ts'
import { startRedis, type TestRedis } from './redis.ts'
import { freshPrefix, type RigOptions, type SchedulerRig, startSchedulerRig } from './scheduler-rig.ts'

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

export interface LiveScenes {
  readonly redis: () => TestRedis
  /** A scene over a store of its own. */
  readonly start: (flags?: readonly string[], rig?: Pick<RigOptions, 'sweepMs'>) => Promise<LiveScene>
  /** The messages of a stream. */
  readonly collect: <Message>(stream: ClientReadableStream<Message>) => ReturnType<typeof collectStream<Message>>
}

/** For the top of a test file: one Redis for all of its tests; what a test started is stopped after it. */
export function useLiveScenes(): LiveScenes {
  let redis: TestRedis
  const scenes: LiveScene[] = []
  const streams: ClientReadableStream<unknown>[] = []
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.cancel()
    for (const scene of scenes.splice(0)) await scene.stop()
  })
  afterAll(async () => {
    await redis.stop()
  })
  return {
    redis: () => redis,
    start: async (flags, rig) => {
      const scene = await createLiveScene(redis, flags, rig)
      scenes.push(scene)
      return scene
    },
    collect: (stream) => {
      streams.push(stream)
      return collectStream(stream)
    },
  }
}

async function createLiveScene(
  redis: TestRedis,
  flags: readonly string[] = [],
  rigOptions: Pick<RigOptions, 'sweepMs'> = {},
): Promise<LiveScene> {
  const keyPrefix = freshPrefix()
  const parts: { close(): void }[] = []
  const others: SchedulerRig[] = []
  const start = (more: readonly string[]): Promise<SchedulerRig> =>
    startSchedulerRig({ redisUrl: redis.url, keyPrefix, flags: [...flags, ...more], ...rigOptions })
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
