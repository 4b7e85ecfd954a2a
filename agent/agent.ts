/** One agent, put together from its configuration. */
import { mkdir, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Registry } from 'prom-client'
import type { WatchedCertificates } from '../kit/certificates.ts'
import { ServingError } from '../kit/errors.ts'
import { loadCallerSecurity, loadCallerTls, toChannelCredentials } from '../kit/grpc-security.ts'
import { serveHttp } from '../kit/http.ts'
import type { Started } from '../kit/lifecycle.ts'
import type { Logger } from '../kit/log.ts'
import { processRoutes } from '../kit/process-routes.ts'
import { loadDataPathSecurity, loadSecurity } from '../kit/security.ts'
import type { AgentConfig } from './config.ts'
import { createAgentMetrics } from './metrics.ts'
import { startProxy } from './proxy/proxy.ts'
import { createTrafficMetrics } from './proxy/traffic-metrics.ts'
import { createTraffic } from './proxy/traffic.ts'
import { Reconciler } from './reconcile/reconciler.ts'
import { createDesiredFile } from './repository/desired-file.ts'
import { openModelRepository } from './repository/model-repository.ts'
import { serverTypes, toNameSource } from './repository/server-types.ts'
import { createOipRuntime } from './runtime/oip-client.ts'
import { startServerWatch } from './runtime/server-watch.ts'
import { createAgentSession } from './session/session.ts'

const INDEX_DEADLINE_MS = 5_000

/** Starts everything, in this order; `started` collects what is to be stopped, in reverse. Returns the HTTP port. */
export async function startAgent(
  config: AgentConfig,
  log: Logger,
  started: Started,
): Promise<{ readonly httpPort: number }> {
  const { serverName, replicaIndex, memoryBytes, overcommitPercentage, repository: folder } = config
  const { tls } = loadDataPathSecurity(config, config.host, "the agent's proxy", log)
  const security = loadSecurity(config, config.host, log)
  const callerSecurity = loadCallerSecurity(config, log)
  const serverTls = loadServerTls(config, log)
  const traits = serverTypes[config.serverType]
  const registry = new Registry()
  const nowMs = (): number => performance.now()

  await warnOfRoots(config.artifactRoots, log)
  await mkdir(folder, { recursive: true })
  const repository = await openModelRepository({
    folder,
    artifactRoots: config.artifactRoots,
    layout: traits.layout,
    ingress: { url: config.ingressUrl, ...(config.ca === undefined ? {} : { ca: resolve(config.ca) }) },
  })
  const desiredFile = createDesiredFile({ folder, log })
  const runtime = createOipRuntime(
    `${config.serverHost}:${String(config.serverGrpcPort)}`,
    toChannelCredentials(serverTls),
    {
      healthMs: config.healthDeadlineMs,
      indexMs: INDEX_DEADLINE_MS,
      loadMs: config.loadDeadlineMs,
      unloadMs: config.unloadDeadlineMs,
    },
  )
  started('runtime', { stop: async () => Promise.resolve(runtime.close()) })

  const state = () => reconciler.state
  const connected = () => session.connected
  const countEvent = createAgentMetrics({
    registry,
    serverName,
    replicaIndex,
    memoryBytes,
    overcommitPercentage,
    state,
    connected,
  }) // reads both when it is scraped

  const traffic = createTraffic({
    maxRequests: config.proxyMaxRequests,
    onEnd: (call) => {
      countCall(call)
    },
    nowMs,
    epochMs: Date.now,
  })
  const countCall = createTrafficMetrics({ registry, serverName, replicaIndex, uses: traffic.uses })

  const reconciler = new Reconciler(
    {
      repository,
      runtime,
      desiredFile,
      maxParallelLoads: config.maxParallelLoads,
      onModelEvent: (event, internalName) => {
        countEvent(event)
        if (event.kind === 'unloaded') traffic.forget(internalName)
      },
      log,
      nowMs,
    },
    await desiredFile.load(),
    await repository.list(),
  )
  started('reconciler', reconciler)

  const watch = await startServerWatch({
    runtime,
    intervalMs: config.healthIntervalMs,
    auditIntervalMs: config.auditIntervalMs,
    onEvent: (event) => {
      reconciler.applyServer(event)
    },
    activity: () => reconciler.activity,
    doubtful: () => reconciler.doubtful,
    patienceMs: () => (traits.silentWhileLoading && reconciler.loading ? config.loadDeadlineMs : 0),
    log,
    nowMs,
  }) // feeds the reconciler what the server has
  started('server watch', watch)

  const nameSource = toNameSource(config.nameSource, traits)
  const proxy = await startProxy({
    host: config.host,
    restPort: config.proxyRestPort,
    grpcPort: config.proxyGrpcPort,
    server: { host: config.serverHost, restPort: config.serverRestPort, grpcPort: config.serverGrpcPort },
    serverTls,
    tls,
    nameSource,
    maxConnections: config.proxyMaxConnections,
    maxRequests: config.proxyMaxRequests,
    drainDeadlineMs: config.proxyDrainDeadlineMs,
    traffic,
    log,
  }) // the data path of models that ask for it; stopped after the session, which drains
  started('proxy', proxy)

  const session = createAgentSession({
    security: callerSecurity,
    scheduler: config.scheduler,
    serverName,
    replicaIndex,
    replicaConfig: {
      address: config.serverHost,
      restPort: config.serverRestPort,
      grpcPort: config.serverGrpcPort,
      memoryBytes,
      capabilities: capabilitiesOf(config),
      overcommitPercentage,
      nameSource,
      proxyRestPort: proxy.restPort,
      proxyGrpcPort: proxy.grpcPort,
      serverTls: config.serverTls,
      proxyTls: tls !== undefined,
    },
    reconciler,
    log,
    nowMs,
  })
  const routes = processRoutes(registry, () => {
    const { server } = state()
    return {
      ready: connected() && server.kind === 'Serving',
      connected: connected(),
      server: server.kind,
    }
  })
  const http = await serveHttp({ host: config.host, port: config.httpPort, routes, log, security })
  started('http', http)

  session.start() // feeds the reconciler what is desired, tells the scheduler what is observed
  started('session', {
    stop: async () => {
      await session.drain(config.drainDeadlineMs)
      await session.stop()
    },
  })
  return { httpPort: http.port }
}

/** A root that is misspelt refuses every artefact; one that is not there yet may come, so this is no reason not to start. */
async function warnOfRoots(roots: readonly string[], log: Logger): Promise<void> {
  for (const root of roots) {
    const isFolder = await stat(root).then(
      (found) => found.isDirectory(),
      () => false,
    )
    if (!isFolder) log.warn({ root }, 'an artifact root is no folder: artefacts below it are refused')
  }
}

/** @throws ServingError CONFIG_INVALID */
function loadServerTls(config: AgentConfig, log: Logger): WatchedCertificates | undefined {
  if (!config.serverTls) return undefined
  const tls = loadCallerTls(config, log)
  if (tls !== undefined) return tls
  throw new ServingError('CONFIG_INVALID', '--server-tls needs --ca, the authority of the model server')
}

function capabilitiesOf({ capabilities, extraCapabilities, serverType }: AgentConfig): string[] {
  const declared = capabilities.length > 0 ? capabilities : serverTypes[serverType].capabilities
  return [...new Set([...declared, ...extraCapabilities])]
}
