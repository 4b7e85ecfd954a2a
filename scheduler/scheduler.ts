/** The scheduler as a list of what runs, in order; each line says what it feeds. */
import { Registry } from 'prom-client'
import { Admin, AgentService, Dataflow, HealthCheckService, Measurements, Scheduler } from '../api/grpc.ts'
import type { ServingError } from '../kit/errors.ts'
import { toServerCredentials, toServerOptions } from '../kit/grpc-security.ts'
import type { Started } from '../kit/lifecycle.ts'
import type { Logger } from '../kit/log.ts'
import { loadSecurity } from '../kit/security.ts'
import { createXdsServer, type ListenerOptions } from '../xds/index.ts'
import type { Backend } from './admin/backend.ts'
import { serveAdmin } from './admin/serve.ts'
import { createAgentService } from './agents/service.ts'
import { createDataflowService } from './dataflow/service.ts'
import type { SchedulerConfig } from './config.ts'
import { toEnvoyTls } from './envoy-tls.ts'
import { createClusterState } from './domain/cluster.ts'
import { createMeasurementsService } from './grpc/measurements-service.ts'
import { createAdminService } from './grpc/admin-service.ts'
import { createSchedulerService, healthService } from './grpc/scheduler-service.ts'
import { serveServices } from './grpc/serve.ts'
import { healthRoutes, type HealthSource } from './health.ts'
import { startWakeUps } from './jobs/wake-ups.ts'
import { startAcks } from './loop/acks.ts'
import { type ControlPlane, startControlPlane } from './loop/control-plane.ts'
import { createFeed } from './loop/feed.ts'
import type { LeadershipRun } from './loop/leadership.ts'
import { createMetrics, registerGauges } from './loop/metrics.ts'
import { startRefusals } from './loop/refusals.ts'
import { createNodeReports, toNodeReports } from './loop/nodes.ts'
import { createRoutingSink } from './loop/routing-sink.ts'
import { explainPlacement } from './operations/explain-placement.ts'
import { createOperations } from './operations/operations.ts'
import { rememberChanges, watchPositions } from './operations/recent-changes.ts'
import { judgeServers } from './placement/explain.ts'
import { place } from './placement/place.ts'
import { connectRedis } from './store/connection.ts'
import { createKeys } from './store/keys.ts'
import { createLease } from './store/lease.ts'
import { openRedis } from './store/open.ts'
import { createRedisStore } from './store/redis.ts'

export interface SchedulerPorts {
  readonly xds: number
  readonly grpc: number
  readonly agent: number
  readonly http: number
}

export interface SchedulerDeps {
  readonly config: SchedulerConfig
  readonly version: string
  readonly log: Logger
  readonly now: () => number
  /** Parts are stopped in the reverse order. */
  readonly started: Started
  readonly onFatal: (error: ServingError) => void
  /** Between two looks of the leader at everything; default 30 s. */
  readonly sweepMs?: number
}

const SWEEP_MS = 30_000

/** Starts everything; answers when the APIs do. */
export async function startScheduler(deps: SchedulerDeps): Promise<SchedulerPorts> {
  const { config, log, now, started } = deps
  const registry = new Registry()
  const metrics = createMetrics(registry)
  const health: HealthSource = { controlPlane: undefined, nodes: () => [] }
  const { host } = config
  let backend: Backend | undefined
  const security = loadSecurity(config, host, log)
  const admin = { security, source: () => backend, health: healthRoutes(health, registry), version: deps.version, log }
  const http = await serveAdmin(admin, host, config.httpPort) // says what the start waits for
  started('http', http)

  const keys = createKeys(config.keyPrefix)
  const connect = () => connectRedis(config.redisUrl, log)
  const { redis, running } = await openRedis(connect, log) // waits for a Redis that is fit for use
  started('redis', running)
  const lease = createLease({
    redis,
    keys,
    ttlMs: config.leaseTtlMs,
    onChange: (leadership) => {
      controlPlane.lead(leadership)
    },
    log,
  }) // decides who leads, once it competes
  started('lease', lease)
  const store = createRedisStore({
    redis,
    connect,
    keys,
    schedulerId: config.instanceId,
    fencingToken: lease.token,
    log,
  })
  const snapshot = await store.load()
  const cluster = createClusterState(snapshot)
  const feed = createFeed(config.maxWatches)
  const reports = createNodeReports(now)

  const xds = createXdsServer({
    log: log.child({ part: 'xds' }),
    now,
    listener: toListenerOptions(config),
    access: { credentials: toServerCredentials(security), options: toServerOptions(security) },
    events: {
      onNodes: (nodes) => {
        if (config.force && nodes.some((node) => node.heldBecause !== undefined)) xds.releaseHeld()
        reports.keepOnly(nodes)
        acks.changed()
      },
      onRefusal: (refusal) => {
        reports.note(refusal)
        refusals.note(refusal)
      },
    },
  })
  const refusals = startRefusals({
    submit: (request) => controlPlane.submit(request),
    cluster,
    isLeading: () => controlPlane.role().kind === 'leading',
    log,
  }) // routes that Envoys refused, into documents
  started('refusals', refusals)
  const acks = startAcks({
    store,
    schedulerId: config.instanceId,
    nodes: () => xds.nodes(),
    refusedBy: (node) => refusals.of(node),
    detailsOf: reports.of,
    onRefusal: (refusal) => {
      refusals.note(refusal)
    },
    onAdvance: () => {
      const waiting = [...cluster.awaitingAck(), ...cluster.pipelinesAwaitingAck(), ...cluster.experimentsAwaitingAck()]
      controlPlane.kick(waiting)
    },
    onAcked: (seconds) => {
      metrics.ackSeconds.observe(seconds)
    },
    log,
  }) // reads what nodes have ACKed, tells the other schedulers
  started('acks', acks)
  const routing = createRoutingSink(xds, cluster, snapshot.revision, log) // I9: after the state was read
  const controlPlane = startControlPlane({
    store,
    snapshot,
    cluster,
    feed,
    route: (changes, revision) => {
      if (routing.publish(changes, revision)) acks.published(revision)
    },
    leadership: {
      acks,
      metrics,
      times: {
        schedulerReadyTimeoutMs: config.schedulerReadyTimeoutSeconds * 1_000,
        sweepMs: deps.sweepMs ?? SWEEP_MS,
        replicaGraceMs: config.replicaGraceSeconds * 1_000,
        drainTimeMs: config.drainTimeMs,
        maxConcurrentMoves: config.maxConcurrentMoves,
      },
      startWakeUps: (onDue) => startWakeUps({ redisUrl: config.redisUrl, prefix: keys.jobs, onDue, now, log }),
      trustsTls: config.upstreamCa !== undefined,
      now,
      log,
    },
    onFenced: lease.lost,
    onFatal: deps.onFatal,
    log,
  }) // follows or leads: reads commits, writes documents, instructs agents, publishes routes
  started('control plane', controlPlane)
  const xdsListening = await xds.listen(host, config.xdsPort) // serves what was published
  started('xds', xdsListening)

  const agentApi = await serveServices(
    [
      { definition: AgentService.service, handlers: { ...createAgentService(controlPlane) } },
      { definition: Measurements.service, handlers: { ...createMeasurementsService(controlPlane) } },
      { definition: Dataflow.service, handlers: { ...createDataflowService(controlPlane) } },
    ],
    host,
    config.agentPort,
    security,
  ) // feeds the control plane with what agents and gateways report, and with what is measured beside Envoys
  started('agent api', agentApi)
  const schedulerService = createSchedulerService({ controlPlane, feed, version: deps.version, now })
  const workers = () => leading(controlPlane)?.dataflow.workers()
  const operations = createOperations({ controlPlane, store, now })
  const api = await serveServices(
    [
      { definition: Scheduler.service, handlers: { ...schedulerService } },
      { definition: HealthCheckService.service, handlers: { ...healthService }, isOpen: true },
      { definition: Admin.service, handlers: { ...createAdminService(operations, feed, workers) } },
    ],
    host,
    config.grpcPort,
    security,
  ) // feeds the control plane with what users ask
  started('api', api)

  const recent = rememberChanges(feed, controlPlane.revision)
  const placement = { place, judge: judgeServers }
  backend = {
    operations,
    explainPlacement: (model) => explainPlacement(cluster, model, placement, now()),
    feed,
    ...watchPositions(recent, snapshot.storeId, controlPlane.revision),
    revision: controlPlane.revision,
    nodes: () => toNodeReports(acks.nodes()),
    workers,
  }

  const address = (port: number): string => `${config.advertisedHost}:${String(port)}`
  lease.compete({
    instanceId: config.instanceId,
    address: address(api.port),
    agentAddress: address(agentApi.port),
    httpAddress: address(http.port),
  })
  await controlPlane.settled
  registerGauges(registry, {
    models: cluster.modelCount,
    pipelines: cluster.pipelineCount,
    routes: routing.routeCount,
    dirtyModels: () => leading(controlPlane)?.dirtyCount() ?? 0,
    agents: () => leading(controlPlane)?.agents.count() ?? 0,
    gateways: () => leading(controlPlane)?.dataflow.gateways.count() ?? 0,
    engines: () => leading(controlPlane)?.dataflow.engines,
    modelGateways: () => leading(controlPlane)?.dataflow.modelGateways,
    workers: () => leading(controlPlane)?.dataflow.workers() ?? [],
    nodes: acks.countingNodes,
    subscribers: feed.watches,
    isLeading: () => controlPlane.role().kind === 'leading',
    revision: controlPlane.revision,
  })
  health.controlPlane = controlPlane
  health.nodes = () => xds.nodes()
  return { xds: xdsListening.port, grpc: api.port, agent: agentApi.port, http: http.port }
}

function leading(controlPlane: ControlPlane): LeadershipRun | undefined {
  const role = controlPlane.role()
  return role.kind === 'leading' ? role.run : undefined
}

const toListenerOptions = (config: SchedulerConfig): ListenerOptions => ({
  ...toEnvoyTls(config),
  host: config.ingressHost,
  port: config.ingressPort,
  wasmFolder: config.wasmFolder,
  router: { shards: config.shards, maxModels: config.metricsModels, maxRequestBytes: config.maxRequestBytes },
})
