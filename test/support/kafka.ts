/** Real Kafka brokers on free ports, with a folder of their own, for one test file or bench. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type KafkaOptions, type KafkaPlanned, planKafka } from '../../up/kafka-plan.ts'
import { waitReady } from '../../up/supervisor/readiness.ts'
import { freePorts } from './free-ports.ts'
import { testKafka } from './tools.ts'

const START_DEADLINE_MS = 60_000
const HOST = '127.0.0.1'

export interface TestBroker {
  readonly pid: number
  /** Kill -9. */
  kill(): Promise<void>
  /** Starts again on the same ports and folder; resolves when it accepts connections. */
  start(): Promise<void>
  /** SIGSTOP: the port accepts, nothing answers. */
  pause(): void
  resume(): void
}

export interface TestKafka extends TestBroker {
  readonly bootstrapServers: string
  /** Ends it and removes its folder. */
  stop(): Promise<void>
}

export interface TestKafkaCluster extends Pick<TestKafka, 'bootstrapServers' | 'stop'> {
  readonly brokers: readonly TestBroker[]
}

/** Further settings of the broker. */
type Settings = Readonly<Record<string, string | number>>
type JvmOptions = Pick<KafkaOptions, 'heapMb' | 'isBusy'>
/** Of benches: compiled as a broker is that has served for a while. */
export const BUSY: JvmOptions = { isBusy: true }

export async function startKafka(settings: Settings = {}, jvm: JvmOptions = {}): Promise<TestKafka> {
  const { bootstrapServers, brokers, stop } = await startKafkaCluster(1, settings, jvm)
  const [broker] = brokers
  if (broker === undefined) throw new Error('unreachable')
  return {
    bootstrapServers,
    stop,
    get pid() {
      return broker.pid
    },
    kill: () => broker.kill(),
    start: () => broker.start(),
    pause: () => {
      broker.pause()
    },
    resume: () => {
      broker.resume()
    },
  }
}

/** Each broker is a controller as well: with three, one may go. */
export async function startKafkaCluster(
  count: number,
  settings: Settings = {},
  jvm: JvmOptions = {},
): Promise<TestKafkaCluster> {
  const binary = await testKafka()
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  const ports = await freePorts(2 * count)
  const controllers = ports.slice(count).map((port) => `${HOST}:${String(port)}`)
  const brokers = ports.slice(0, count).map((port, index) =>
    prepareBroker(
      planKafka({
        ...binary,
        folder: join(folder, String(index + 1)),
        host: HOST,
        port,
        controllerPort: ports[count + index] ?? 0,
        cluster: { node: index + 1, controllers },
        settings,
        ...jvm,
      }),
      join(folder, `broker-${String(index + 1)}.log`),
    ),
  )
  const stop = async (): Promise<void> => {
    await Promise.all(brokers.map((broker) => broker.kill()))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(brokers.map((broker) => broker.start()))
  } catch (error) {
    await stop()
    throw error
  }
  const bootstrapServers = ports
    .slice(0, count)
    .map((port) => `${HOST}:${String(port)}`)
    .join(',')
  return { bootstrapServers, brokers, stop }
}

function prepareBroker(plan: KafkaPlanned, log: string): TestBroker {
  for (const path of plan.folders) mkdirSync(path, { recursive: true })
  for (const { path, content } of plan.files) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
  }
  let child: ChildProcess | undefined
  const isRunning = (one: ChildProcess | undefined): one is ChildProcess =>
    one !== undefined && one.exitCode === null && one.signalCode === null
  const signal = (name: NodeJS.Signals): void => {
    if (!isRunning(child)) throw new Error('the broker does not run')
    child.kill(name)
  }
  return {
    get pid() {
      if (!isRunning(child) || child.pid === undefined) throw new Error('the broker does not run')
      return child.pid
    },
    start: async () => {
      const output = openSync(log, 'a')
      child = spawn(plan.process.command, plan.process.args, { stdio: ['ignore', output, output] })
      closeSync(output)
      const gone = new AbortController()
      child.once('exit', () => {
        gone.abort()
      })
      if ((await waitReady(plan.process.readiness, START_DEADLINE_MS, gone.signal)) !== 'ready')
        throw new Error(`the broker did not start:\n${readFileSync(log, 'utf8').slice(-2_000)}`)
    },
    kill: async () => {
      if (!isRunning(child)) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
    pause: () => {
      signal('SIGSTOP')
    },
    resume: () => {
      signal('SIGCONT')
    },
  }
}
