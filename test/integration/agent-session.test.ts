import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../kit/root.ts'
import { MILLRACE } from '../support/programs.ts'
import { type AgentRig, createAgentRig } from '../support/agent-rig.ts'
import { desiredModel, type FakeConnection, startFakeScheduler } from '../support/fake-scheduler.ts'

let rig: AgentRig
beforeEach(async () => {
  rig = await createAgentRig()
})
afterEach(() => rig.stop())

const untilLoaded = (connection: FakeConnection, name: string): Promise<void> =>
  rig.scheduler.until(`${name} LOADED`, () => connection.models.get(name)?.state === 'LOADED')
const untilApplied = (connection: FakeConnection, generation: number): Promise<void> =>
  rig.scheduler.until(`generation ${String(generation)}`, () => connection.appliedGeneration === generation)

/** Connection 0 with a_1 loaded in epoch e1, generation 5. */
async function loadOne(): Promise<FakeConnection> {
  const connection = await rig.scheduler.connection(0)
  const models = [desiredModel('a_1', await rig.artifact('iris'))]
  connection.sendDesired({ epoch: 'e1', generation: 5, full: true, models })
  await untilLoaded(connection, 'a_1')
  await untilApplied(connection, 5)
  return connection
}

describe('the connection to the scheduler', () => {
  it('is made again by itself, names what it has, and needs only the difference', async () => {
    await rig.startAgent()
    const first = await loadOne()
    await rig.scheduler.kill()
    await rig.scheduler.restart()
    const second = await rig.scheduler.connection(1)
    expect(second.hello).toMatchObject({ epoch: 'e1', generation: '5', sessionId: first.hello.sessionId })
    expect(second.hello.models).toMatchObject([{ internalName: 'a_1', state: 'LOADED', attempt: 1 }])
    expect(second.health).toEqual(['SERVING'])
    const models = [desiredModel('b_1', await rig.artifact('iris'))]
    second.sendDesired({ epoch: 'e1', generation: 6, full: false, models })
    await untilLoaded(second, 'b_1')
    expect(rig.server.log).toEqual(['load a_1', 'load b_1'])
  })

  it('may be away for as long as it likes: a server that dies meanwhile gets its models back', async () => {
    await rig.startAgent()
    await loadOne()
    await rig.scheduler.kill()
    await rig.server.kill()
    await rig.server.restart()
    await rig.server.until('a_1 is back', () => rig.server.models.has('a_1'))
    await rig.scheduler.restart()
    const again = await rig.scheduler.connection(1)
    again.sendDesired({ epoch: 'e1', generation: 5, full: false })
    await rig.scheduler.until('SERVING', () => again.health.at(-1) === 'SERVING')
    expect(rig.server.log).toEqual(['load a_1', 'load a_1'])
  })

  it('asks for everything when it gets a difference that does not fit', async () => {
    await rig.startAgent()
    await loadOne()
    const first = await rig.scheduler.connection(0)
    first.sendDesired({ epoch: 'e2', generation: 1, full: false, removed: ['a_1'] })
    const second = await rig.scheduler.connection(1)
    expect(second.hello).toMatchObject({ epoch: '', generation: '0' })
    expect(second.hello.models).toMatchObject([{ internalName: 'a_1', state: 'LOADED' }])
    expect(rig.server.models).toEqual(new Set(['a_1']))
  })

  it('is given up when the other side vanishes without a word', async () => {
    const sockets: Socket[] = []
    const proxy = createServer((near) => {
      const far = connect(rig.scheduler.port, '127.0.0.1')
      sockets.push(near, far)
      near.pipe(far).on('error', () => near.destroy())
      far.pipe(near).on('error', () => far.destroy())
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const address = `127.0.0.1:${String((proxy.address() as AddressInfo).port)}`
    await rig.startAgent({ scheduler: address })
    await loadOne()
    for (const socket of sockets.splice(0)) socket.unpipe().pause()
    const second = await rig.scheduler.connection(1)
    expect(second.hello).toMatchObject({ epoch: 'e1', generation: '5' })
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })

  it('ignores a message that is older than what it has', async () => {
    await rig.startAgent()
    const connection = await loadOne()
    connection.sendDesired({ epoch: 'e1', generation: 4, full: false, removed: ['a_1'] })
    const models = [desiredModel('b_1', await rig.artifact('iris'))]
    connection.sendDesired({ epoch: 'e1', generation: 6, full: false, models })
    await untilLoaded(connection, 'b_1')
    await untilApplied(connection, 6)
    expect(rig.server.models).toEqual(new Set(['a_1', 'b_1']))
  })

  it('goes where it is sent, and home again when nobody is there', async () => {
    const leader = await startFakeScheduler()
    rig.scheduler.onHello = (connection) => {
      connection.send({ redirect: { address: leader.address } })
    }
    await rig.startAgent()
    const led = await leader.connection(0)
    led.sendDesired({ epoch: 'e9', generation: 1, full: true })
    await leader.until('generation 1', () => led.appliedGeneration === 1)
    rig.scheduler.onHello = undefined
    await leader.kill()
    const home = await rig.scheduler.connection(1)
    expect(home.hello).toMatchObject({ epoch: 'e9', generation: '1' })
  })

  it('drains before it stops: models stay loaded and nothing is dropped before the scheduler agrees', async () => {
    const agent = await rig.startAgent({ drainDeadlineMs: 5_000 })
    const connection = await loadOne()
    let stopped = false
    const stopping = agent.stop().then(() => {
      stopped = true
    })
    await rig.scheduler.until('drain', () => connection.draining)
    expect(stopped).toBe(false)
    connection.send({ drained: { reason: 'moved' } })
    await stopping
    await rig.scheduler.until('the connection ends', () => connection.ended)
    expect(rig.server.models).toEqual(new Set(['a_1']))
  })

  it('waits for the drain only as long as it was told', async () => {
    const agent = await rig.startAgent({ drainDeadlineMs: 100 })
    const connection = await loadOne()
    await agent.stop()
    expect(connection.draining).toBe(true)
  })

  it('asks the next scheduler to drain it when the first is lost meanwhile', async () => {
    const agent = await rig.startAgent({ drainDeadlineMs: 60_000 })
    const first = await loadOne()
    let stopped = false
    const stopping = agent.stop().then(() => {
      stopped = true
    })
    await rig.scheduler.until('drain', () => first.draining)
    first.end()
    const second = await rig.scheduler.connection(1)
    second.sendDesired({ epoch: 'e1', generation: 5, full: false })
    await rig.scheduler.until('another drain', () => second.draining)
    expect(stopped).toBe(false)
    second.send({ drained: { reason: 'moved' } })
    await stopping
  })

  it('does not wait long for a scheduler that is gone', async () => {
    const agent = await rig.startAgent({ drainDeadlineMs: 60_000 })
    await loadOne()
    await rig.scheduler.kill()
    await agent.stop()
    expect(rig.server.models).toEqual(new Set(['a_1']))
  })

  it('shows its state on its own port', async () => {
    const { httpPort } = await rig.startAgent()
    const get = async (path: string): Promise<{ status: number; body: string }> => {
      const response = await fetch(`http://127.0.0.1:${String(httpPort)}${path}`)
      return { status: response.status, body: await response.text() }
    }
    expect((await get('/readyz')).status).toBe(503)
    await loadOne()
    expect(await get('/readyz')).toMatchObject({ status: 200 })
    expect(await get('/healthz')).toMatchObject({ status: 200 })
    const { body } = await get('/metrics')
    const labels = 'server="embedded",server_replica="0"'
    expect(body).toContain(`seldon_load_model_counter{${labels}} 1`)
    expect(body).toContain(`seldon_unload_model_counter{${labels}} 0`)
    expect(body).toContain(`seldon_loaded_model_gauge{${labels},model_internal="a_1"} 1`)
    expect(body).toContain(`seldon_loaded_model_memory_bytes_gauge{${labels},model_internal="a_1"} 100`)
    expect(body).toContain(`seldon_server_replica_memory_capacity_bytes_gauge{${labels}} 1000`)
    expect(body).toContain(`seldon_server_replica_memory_capacity_overcommit_bytes_gauge{${labels}} 0`)
  })
})

describe('the agent process', () => {
  let child: ChildProcess | undefined
  afterEach(() => child?.kill('SIGKILL'))

  const spawnAgent = (): ChildProcess => {
    const flags = {
      scheduler: rig.scheduler.address,
      'server-rest-port': 1,
      'server-grpc-port': rig.server.port,
      repository: rig.repository,
      'artifact-roots': rig.artifacts,
      'memory-bytes': 1_000,
      'http-port': 0,
    }
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
    return spawn(process.execPath, [MILLRACE, 'agent', ...args], {
      cwd: packageRoot,
      stdio: 'ignore',
    })
  }

  it('adopts what is loaded after kill -9: nothing is loaded or unloaded, whatever the scheduler asked for meanwhile', async () => {
    child = spawnAgent()
    const first = await loadOne()
    child.kill('SIGKILL')
    await rig.scheduler.until('the connection breaks', () => first.ended)
    rig.server.models.add('later_1') // loaded at the end, known to the scheduler, not to the agent's file
    child = spawnAgent()
    const second = await rig.scheduler.connection(1)
    expect(second.hello.sessionId).not.toBe(first.hello.sessionId)
    expect(second.hello).toMatchObject({ epoch: 'e1', generation: '5' })
    expect(second.health).toEqual(['SERVING'])
    const states = second.hello.models.map(({ internalName, state }) => `${internalName} ${state}`)
    expect(states.toSorted()).toEqual(['a_1 LOADED', 'later_1 LOADED'])
    const models = [desiredModel('later_1', await rig.artifact('iris'))]
    second.sendDesired({ epoch: 'e1', generation: 6, full: false, models })
    await untilApplied(second, 6)
    expect(rig.server.log).toEqual(['load a_1'])
    expect(rig.server.models).toEqual(new Set(['a_1', 'later_1']))
  })

  it('drains on SIGTERM and exits with 0', async () => {
    child = spawnAgent()
    const connection = await loadOne()
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await rig.scheduler.until('drain', () => connection.draining)
    connection.send({ drained: { reason: 'moved' } })
    expect(await exited).toEqual([0, null])
    expect(rig.server.models).toEqual(new Set(['a_1']))
  })
})
