/** A whole scheduler in this process, on free ports, with clients of its APIs. */
import { credentials } from '@grpc/grpc-js'
import { GRPC_OPTIONS, Scheduler } from '../../api/grpc.ts'
import type { Resource } from '../../api/resources/resource.ts'
import type { ModelStatus, PipelineStatus, StoredResource } from '../../api/resources/status.ts'
import { type AdminClient, createAdminClient } from '../../cli/client/admin-client.ts'
import { waitFor } from '../../cli/wait.ts'
import { parseConfig } from '../../kit/config.ts'
import type { ServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { type Logger, silentLogger } from '../../kit/log.ts'
import { schedulerProcess } from '../../scheduler/config.ts'
import { type SchedulerPorts, startScheduler } from '../../scheduler/scheduler.ts'

const WAIT_MS = 60_000

export interface SchedulerRig extends Running {
  readonly ports: SchedulerPorts
  readonly admin: AdminClient
  readonly api: InstanceType<typeof Scheduler>
  /** What it could not go on after. */
  readonly fatal: readonly ServingError[]
  /** Waits until the model's status satisfies; fails after a minute saying what it was last. */
  untilModel(name: string, wanted: (status: ModelStatus) => boolean): Promise<ModelStatus>
  untilPipeline(name: string, wanted: (status: PipelineStatus) => boolean): Promise<PipelineStatus>
  untilGone(name: string, kind?: 'Model' | 'Pipeline'): Promise<void>
}

export interface RigOptions {
  readonly redisUrl: string
  readonly keyPrefix: string
  readonly flags?: readonly string[]
  readonly log?: Logger
  /** Instead of 30 s. */
  readonly sweepMs?: number
}

/** A manifest as users apply it. */
export const aModelResource = (name: string, spec: object = {}): Resource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Model',
  metadata: { name },
  spec: { storageUri: '/models/iris', requirements: ['onnx'], ...spec },
})

export const aServerResource = (name: string, spec: object = {}): Resource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Server',
  metadata: { name },
  spec,
})

let counter = 0
/** Names apart what tests keep in one Redis. */
export const freshPrefix = (): string => `rig-${String(process.pid)}-${String((counter += 1))}`

export async function startSchedulerRig(options: RigOptions): Promise<SchedulerRig> {
  const parts: Running[] = []
  const fatal: ServingError[] = []
  const ports = await startScheduler({
    config: configOf(options),
    version: 'test',
    log: options.log ?? testLogger(),
    now: Date.now,
    started: (_name, running) => {
      parts.push(running)
    },
    onFatal: (error) => fatal.push(error),
    ...(options.sweepMs === undefined ? {} : { sweepMs: options.sweepMs }),
  })
  const address = `127.0.0.1:${String(ports.grpc)}`
  const admin = createAdminClient(address)
  const api = new Scheduler(address, credentials.createInsecure(), GRPC_OPTIONS)
  return {
    ports,
    admin,
    api,
    fatal,
    untilModel: (name, wanted) => untilStatus(admin, 'Model', name, wanted),
    untilPipeline: (name, wanted) => untilStatus(admin, 'Pipeline', name, wanted),
    untilGone: (name, kind = 'Model') => waitFor(admin, { kind, name }, 'deleted', WAIT_MS),
    stop: async () => {
      admin.close()
      api.close()
      for (const part of parts.splice(0).toReversed()) await part.stop()
    },
  }
}

async function untilStatus<Status extends StoredResource['status']>(
  admin: AdminClient,
  kind: 'Model' | 'Pipeline',
  name: string,
  wanted: (status: NonNullable<Status>) => boolean,
): Promise<NonNullable<Status>> {
  let last: Status | undefined
  try {
    for await (const event of admin.watch(kind, name, AbortSignal.timeout(WAIT_MS))) {
      last = event.kind === 'state' ? (event.resource.status as Status | undefined) : undefined
      if (last !== undefined && last !== null && wanted(last)) return last
    }
  } catch (error) {
    throw new Error(`${kind} ${name} was last ${JSON.stringify(last)}`, { cause: error })
  }
  throw new Error(`${kind} ${name} was last ${JSON.stringify(last)}`)
}

function configOf({ redisUrl, keyPrefix, flags = [] }: RigOptions) {
  const free = ['--xds-port', '0', '--grpc-port', '0', '--agent-port', '0', '--http-port', '0']
  const times = ['--drain-time-ms', '50', '--scheduler-ready-timeout-seconds', '600']
  const where = ['--redis-url', redisUrl, '--key-prefix', keyPrefix]
  const result = parseConfig(schedulerProcess, [...free, ...times, ...where, ...flags], {})
  if (result.kind !== 'run') throw new Error('flags of the rig print something')
  return result.config
}

/** Set MILLRACE_TEST_LOG to see what schedulers in tests log. */
function testLogger(): Logger {
  if (!process.env['MILLRACE_TEST_LOG']) return silentLogger
  const print =
    (level: string) =>
    (fields: object, message: string): void => {
      console.log(level, message, JSON.stringify(fields))
    }
  const log: Logger = {
    error: print('error'),
    warn: print('warn'),
    info: print('info'),
    debug: print('debug'),
    child: () => log,
  }
  return log
}
