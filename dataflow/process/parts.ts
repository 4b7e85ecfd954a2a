/** What the processes of pipelines start alike: each is put together from these parts and its own. */
import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import type { Introduction } from '../../api/generated/millrace/dataflow/Introduction.ts'
import { type CallerOptions, loadCallerSecurity, loadCallerTls } from '../../kit/grpc-security.ts'
import { serveHttp } from '../../kit/http.ts'
import type { Started } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { processRoutes } from '../../kit/process-routes.ts'
import { type ListenerOptions, loadSecurity, type Security } from '../../kit/security.ts'
import { createHeldPlans, type HeldPlans } from '../control/held-plans.ts'
import { createPlansFile, type PlansFile } from '../control/plans-file.ts'
import { type ControlSession, type ControlSessionDeps, createControlSession } from '../control/session.ts'
import type { Journal } from '../journal/journal.ts'
import { type JournalConfig, openJournal } from '../journal/options.ts'
import type { GateLimits } from '../model-client/gate.ts'
import { createModelClient, type ModelClient } from '../model-client/model-client.ts'
import { compile } from '../plan/compile.ts'

export interface ProcessConfig extends JournalConfig, ListenerOptions, CallerOptions {
  readonly name: string
  readonly scheduler: string
  readonly host: string
  readonly httpPort: number
  readonly ingress: string
  readonly ingressConnections: number
}

export interface Parts {
  readonly config: ProcessConfig
  /** Tells this run of the process from earlier ones of its name. */
  readonly epoch: string
  /** Aborted when nothing new is begun any more. */
  readonly stopping: AbortController
  readonly security: Security
  readonly registry: Registry
  readonly journal: Journal
  readonly models: ModelClient
  readonly log: Logger
  readonly nowMs: () => number
  readonly started: Started
}

/** `limits` of the calls of each model. @throws ServingError CONFIG_INVALID */
export function startParts(config: ProcessConfig, limits: GateLimits, log: Logger, started: Started): Parts {
  const security = loadSecurity(config, config.host, log)
  const callerTls = loadCallerTls(config, log)
  const registry = new Registry()
  const journal = openJournal(config, { clientId: config.name, registry, log })
  started('journal', { stop: () => journal.close() }) // after everything that records
  const models = createModelClient({
    ingress: config.ingress,
    tls: () => callerTls?.current(),
    connections: config.ingressConnections,
    limits,
  })
  started('model client', { stop: async () => Promise.resolve(models.close()) })
  const nowMs = (): number => performance.now()
  const stopping = new AbortController()
  return { config, epoch: randomUUID(), stopping, security, registry, journal, models, log, nowMs, started }
}

/** The pipelines that the scheduler gives, from those that it gave last. */
export async function startPlans(
  path: string,
  { log, started }: Parts,
): Promise<{ readonly plans: HeldPlans; readonly file: PlansFile }> {
  const file = createPlansFile(path, log)
  const plans = createHeldPlans(compile, await file.load())
  started('plans file', { stop: file.settled })
  return { plans, file }
}

/** The stream to the scheduler; `introduction` is what this process says beyond who it is. */
export function createSession(
  { config, epoch, log, nowMs }: Parts,
  introduction: () => Introduction,
  onMessage: ControlSessionDeps['onMessage'],
): ControlSession {
  return createControlSession({
    scheduler: config.scheduler,
    security: loadCallerSecurity(config, log),
    introduction: () => ({ name: config.name, address: config.host, epoch, ...introduction() }),
    onMessage,
    log,
    nowMs,
  })
}

/** The process's own HTTP port; `busyWith` is told with its readiness. */
export async function startHttp(
  { config, registry, security, journal, stopping, log, started }: Parts,
  session: Pick<ControlSession, 'connected'>,
  busyWith: () => object,
): Promise<number> {
  const { host, httpPort: port } = config
  const routes = processRoutes(registry, () => ({
    ready: !stopping.signal.aborted,
    connected: session.connected,
    ...busyWith(),
    journal: journal.status(),
  }))
  const http = await serveHttp({ host, port, routes, log, security })
  started('http', http)
  return http.port
}
