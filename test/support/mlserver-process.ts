/** The real MLServer on free ports, started as `millrace up` starts it; killed and started again on the same ports. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { credentials } from '@grpc/grpc-js'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import { mlserverEnvironment } from '../../up/servers/mlserver-environment.ts'
import { waitReady } from '../../up/supervisor/readiness.ts'
import { freePorts } from './free-ports.ts'
import { testMlserver } from './tools.ts'

export interface MlserverProcess {
  readonly restPort: number
  readonly grpcPort: number
  readonly metricsPort: number
  readonly url: string
  readonly client: InstanceType<typeof GRPCInferenceService>
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** On the same ports; resolves when it answers. */
  start(): Promise<void>
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const READY_DEADLINE_MS = 60_000
const LOG_BOUND = 16 * 1024

export async function startMlserver(repository: string): Promise<MlserverProcess> {
  const command = await testMlserver()
  const [restPort = 0, grpcPort = 0, metricsPort = 0] = await freePorts(3)
  const url = `http://${HOST}:${String(restPort)}`
  const ports = { rest: restPort, grpc: grpcPort, modelServerMetrics: metricsPort }
  const client = new GRPCInferenceService(`${HOST}:${String(grpcPort)}`, credentials.createInsecure(), GRPC_OPTIONS)
  let child: ChildProcess | undefined

  const start = async (): Promise<void> => {
    const started = spawn(command, ['start', repository], {
      env: { ...process.env, ...mlserverEnvironment({ host: HOST, ports, repository }) },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    child = started
    let log = ''
    started.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString('utf8')).slice(-LOG_BOUND)
    })
    const readiness = { kind: 'http', url: `${url}/v2/health/live` } as const
    const outcome = await waitReady(readiness, READY_DEADLINE_MS, AbortSignal.timeout(READY_DEADLINE_MS))
    if (outcome !== 'ready') throw new Error(`MLServer did not start:\n${log}`)
  }
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  await start()
  return {
    restPort,
    grpcPort,
    metricsPort,
    url,
    client,
    start,
    kill,
    async stop() {
      client.close()
      await kill()
    },
  }
}
