/** A real Kafka broker on free ports, with a folder of its own, for one test file or bench. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { planKafka } from '../../up/kafka-plan.ts'
import { waitReady } from '../../up/supervisor/readiness.ts'
import { freePorts } from './free-ports.ts'
import { testKafka } from './tools.ts'

const START_DEADLINE_MS = 60_000

export interface TestKafka {
  readonly bootstrapServers: string
  /** Kill -9. */
  kill(): Promise<void>
  /** Starts again on the same ports and folder; resolves when it accepts connections. */
  start(): Promise<void>
  /** SIGSTOP: the port accepts, nothing answers. */
  pause(): void
  resume(): void
  /** Ends it and removes its folder. */
  stop(): Promise<void>
}

/** `settings` are further settings of the broker. */
export async function startKafka(settings: Readonly<Record<string, string | number>> = {}): Promise<TestKafka> {
  const binary = await testKafka()
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  const [port = 0, controllerPort = 0] = await freePorts(2)
  const plan = planKafka({ ...binary, folder, host: '127.0.0.1', port, controllerPort, settings })
  for (const path of plan.folders) mkdirSync(path, { recursive: true })
  for (const { path, content } of plan.files) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
  }
  const log = join(folder, 'broker.log')
  let child: ChildProcess

  const start = async (): Promise<void> => {
    const output = openSync(log, 'a')
    child = spawn(plan.process.command, plan.process.args, { stdio: ['ignore', output, output] })
    closeSync(output)
    const gone = new AbortController()
    child.once('exit', () => {
      gone.abort()
    })
    if ((await waitReady(plan.process.readiness, START_DEADLINE_MS, gone.signal)) !== 'ready')
      throw new Error(`the broker did not start:\n${readFileSync(log, 'utf8').slice(-2_000)}`)
  }
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  await start()
  return {
    bootstrapServers: `127.0.0.1:${String(port)}`,
    kill,
    start,
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    stop: async () => {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
