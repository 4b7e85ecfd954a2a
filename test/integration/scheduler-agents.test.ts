/** Agents that come, go, hang and drain. */
import { once } from 'node:events'
import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer, connect as connectTcp, type Socket } from 'node:net'
import { credentials } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import { AgentService } from '../../api/grpc.ts'
import type { ModelStatus } from '../../api/resources/status.ts'
import { createFakeAgent } from '../support/fake-agent.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource } from '../support/scheduler-rig.ts'

const scenes = useLiveScenes()
let scene: LiveScene
const closers: (() => void)[] = []

afterEach(async () => {
  for (const close of closers.splice(0)) close()
})

const isAvailable = (status: ModelStatus): boolean => status.state === 'ModelAvailable'
const homeOf = (status: ModelStatus): string | undefined =>
  status.versions?.at(-1)?.replicas?.find(({ state }) => state === 'Available')?.replica

/** A server that is ready, as far as a prober can tell. */
async function readyServer(): Promise<{ server: Server; port: number }> {
  const server = createHttpServer((_request, response) => response.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, port: portOf(server) }
}

function portOf(server: { address(): ReturnType<Server['address']> }): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  return address.port
}

async function agentState(replica: number): Promise<string | undefined> {
  const { resource } = await scene.rig.admin.get('Server', 'embedded')
  const { replicaStatuses } = resource.status as { replicaStatuses: { agent: string }[] }
  return replicaStatuses[replica]?.agent
}

describe('an agent that is gone', () => {
  it('changes nothing while its server answers; when that is down as well, its model moves at once', async () => {
    scene = await scenes.start()
    const { server, port } = await readyServer()
    const first = scene.agent({ restPort: port })
    const envoy = scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    expect(homeOf(await scene.rig.untilModel('iris', isAvailable))).toBe('embedded/0')
    const second = scene.agent({ index: 1 })
    await expect.poll(() => second.connected()).toBe(true)
    first.disconnect()
    await expect.poll(() => agentState(0)).toBe('lost')
    const routes = envoy.events.filter(({ kind }) => kind === 'RDS').length
    await scene.settle()
    expect(await scene.rig.untilModel('iris', () => true)).toMatchObject({
      state: 'ModelAvailable',
      availableReplicas: 1,
    })
    expect(envoy.events.filter(({ kind }) => kind === 'RDS')).toHaveLength(routes)
    expect([...second.loaded]).toEqual([])

    server.closeAllConnections()
    server.close()
    const moved = await scene.rig.untilModel('iris', (status) => isAvailable(status) && homeOf(status) === 'embedded/1')
    expect(moved.availableReplicas).toBe(1)
    const { events } = await scene.rig.admin.get('Server', 'embedded')
    const reasons = events.filter(({ message }) => message.includes('embedded/0')).map(({ reason }) => reason)
    expect(reasons).toEqual(['AgentConnected', 'ReplicaServing', 'AgentLost', 'ReplicaDown'])
  })

  it('and comes back is told only what changed meanwhile', async () => {
    scene = await scenes.start()
    const { port } = await readyServer()
    const agent = scene.agent({ restPort: port })
    scene.envoy()
    await scene.rig.admin.apply(aModelResource('a'))
    await scene.rig.admin.apply(aModelResource('b'))
    for (const name of ['a', 'b']) await scene.rig.untilModel(name, isAvailable)
    agent.disconnect()
    await expect.poll(() => agentState(0)).toBe('lost')
    await scene.rig.admin.delete('Model', 'a')
    await scene.rig.untilModel('a', ({ state }) => state === 'ModelTerminating')
    const told = agent.received.length
    agent.connect()
    await scene.rig.untilGone('a') // which need not wait for an agent that is away
    await expect.poll(() => [...agent.loaded]).toEqual(['b_1'])
    const since = agent.received.slice(told).flatMap((message) => message.desired ?? [])
    expect(since.every((change) => !change.full)).toBe(true)
    expect(since.flatMap((change) => change.models)).toEqual([])
  })

  it('without a word is noticed', async () => {
    scene = await scenes.start()
    const proxy = await startProxy(scene.rig.ports.agent)
    const agent = createFakeAgent({ schedulerPort: proxy.port })
    closers.push(agent.close)
    agent.connect()
    await expect.poll(() => agent.connected()).toBe(true)
    proxy.freeze()
    await expect.poll(() => agentState(0)).toBe('lost')
  })
})

describe('sessions', () => {
  it('a newer session of the same replica ends the older one', async () => {
    scene = await scenes.start()
    const older = scene.agent({ reconnects: false })
    await expect.poll(() => older.connected()).toBe(true)
    const newer = createFakeAgent({ schedulerPort: scene.rig.ports.agent })
    closers.push(newer.close)
    newer.connect()
    await newer.until((message) => message.message === 'desired')
    await scene.rig.admin.apply(aModelResource('iris'))
    await newer.until((message) => message.desired?.models[0]?.internalName === 'iris_1')
    expect(await agentState(0)).toBe('connected')
    expect(older.connected()).toBe(false)
    expect([...older.loaded]).toEqual([])
  })

  it('a Hello that cannot be right is refused with everything that is wrong', async () => {
    scene = await scenes.start()
    const client = new AgentService(`127.0.0.1:${String(scene.rig.ports.agent)}`, credentials.createInsecure())
    closers.push(() => client.close())
    const stream = client.Connect()
    stream.write({
      hello: { serverName: 'Bad_Name', config: { address: 'host', restPort: 0, grpcPort: 1, serverTls: true } },
    })
    const [error] = (await once(stream, 'error')) as [{ code: number; details: string }]
    expect(error.code).toBe(3)
    expect(error.details).toContain('hello.server_name')
    expect(error.details).toContain('hello.config.address')
    expect(error.details).toContain('hello.config.rest_port')
    expect(error.details).toMatch(/hello\.config\.server_tls: .*--upstream-ca/)
  })
})

describe('draining', () => {
  it('moves the models away, then lets the agent go', async () => {
    scene = await scenes.start()
    const first = scene.agent()
    scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    await scene.rig.untilModel('iris', isAvailable)
    const second = scene.agent({ index: 1 })
    await expect.poll(() => second.connected()).toBe(true)
    first.send({ drain: {} })
    const { drained } = await first.until((message) => message.message === 'drained')
    expect(drained?.reason).toBe('all its models are served elsewhere')
    expect([...second.loaded]).toEqual(['iris_1'])
    const status = await scene.rig.untilModel('iris', isAvailable)
    expect(homeOf(status)).toBe('embedded/1')
  })

  it('lets an agent go whose models have nowhere to go, saying so', async () => {
    scene = await scenes.start()
    const only = scene.agent()
    scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    await scene.rig.untilModel('iris', isAvailable)
    only.send({ drain: {} })
    const { drained } = await only.until((message) => message.message === 'drained')
    expect(drained?.reason).toBe('1 model(s) have nowhere to go')
    expect([...only.loaded]).toEqual(['iris_1'])
  })
})

/** A connection that can stop carrying anything without closing. */
async function startProxy(target: number): Promise<{ port: number; freeze: () => void }> {
  const sockets: Socket[] = []
  const server = createServer((near) => {
    const far = connectTcp(target, '127.0.0.1')
    sockets.push(near, far)
    for (const socket of [near, far]) socket.on('error', () => undefined)
    near.pipe(far).pipe(near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: portOf(server),
    freeze: () => {
      for (const socket of sockets) {
        socket.unpipe()
        socket.pause()
      }
    },
  }
}
