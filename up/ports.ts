/** Where everything listens, as data. */
import { SERVER_KINDS, type ServerKind } from './servers/kinds.ts'

export interface ReplicaPorts {
  readonly rest: number
  readonly grpc: number
  readonly agentHttp: number
  /** Of the agent's reverse proxy. */
  readonly proxyRest: number
  readonly proxyGrpc: number
  /** Only of a model server that serves its metrics on a port of their own. */
  readonly modelServerMetrics?: number
}

export interface EnvoyPorts {
  readonly admin: number
  /** Of the metrics process beside it. */
  readonly metrics: number
}

export interface PipelineGatewayPorts {
  readonly rest: number
  readonly grpc: number
  /** Health and metrics. */
  readonly http: number
}

export interface MeshPorts {
  /** Of all Envoys: they get the same listener. Several on one machine share it, and the system spreads connections. */
  readonly ingress: number
  readonly redis: number
  readonly xds: number
  readonly schedulerGrpc: number
  readonly agents: number
  readonly schedulerHttp: number
  /** Only of a broker that is started here. */
  readonly kafka?: KafkaPorts
  readonly envoys: readonly EnvoyPorts[]
  readonly pipelineGateways: readonly PipelineGatewayPorts[]
  readonly engines: readonly WorkerPorts[]
  readonly modelGateways: readonly WorkerPorts[]
  readonly replicas: readonly ReplicaPorts[]
}

/** Of a process that reads from Kafka. */
export interface WorkerPorts {
  /** Health and metrics. */
  readonly http: number
}

export interface KafkaPorts {
  readonly broker: number
  readonly controller: number
}

export const kafkaPorts = (offset: number): KafkaPorts => ({ broker: 9092 + offset, controller: 9093 + offset })
/** As many pipeline gateways have documented ports. */
export const MAX_PIPELINE_GATEWAYS = 6

/** The documented ports, all moved by `offset`: one Envoy, `replicas` embedded model servers. */
export function standardPorts(offset: number, replicas: number, pipelineGateways = 1): MeshPorts {
  return {
    ingress: 9000 + offset,
    redis: 9079 + offset,
    xds: 9002 + offset,
    schedulerGrpc: 9004 + offset,
    agents: 9005 + offset,
    schedulerHttp: 9006 + offset,
    envoys: [{ admin: 9901 + offset, metrics: 9003 + offset }],
    pipelineGateways: Array.from({ length: pipelineGateways }, (_, index) => pipelineGatewayPorts(index, offset)),
    engines: [],
    modelGateways: [],
    replicas: Array.from({ length: replicas }, (_, index) => replicaPorts('embedded', index, offset)),
  }
}

export const enginePorts = (offset: number): WorkerPorts => ({ http: 9007 + offset })
export const modelGatewayPorts = (offset: number): WorkerPorts => ({ http: 9008 + offset })

/** Ten ports for each, from 9010 on. */
function pipelineGatewayPorts(index: number, offset: number): PipelineGatewayPorts {
  const first = 9010 + offset + 10 * index
  return { rest: first, grpc: first + 1, http: first + 2 }
}

/** Ten ports for each replica, a hundred for each kind of server: 9100 for embedded, 9200 for mlserver. */
export function replicaPorts(kind: ServerKind, index: number, offset: number): ReplicaPorts {
  const first = 9100 + offset + 100 * SERVER_KINDS.indexOf(kind) + 10 * index
  const ports = { rest: first, grpc: first + 1, agentHttp: first + 2, proxyRest: first + 4, proxyGrpc: first + 5 }
  return kind === 'mlserver' ? { ...ports, modelServerMetrics: first + 3 } : ports
}

export interface PortUse {
  readonly port: number
  readonly use: string
}

/** Every port with what it is for. */
export function portUses(ports: MeshPorts): PortUse[] {
  return [
    { port: ports.ingress, use: 'ingress' },
    ...ports.envoys.flatMap((envoy) => [
      { port: envoy.admin, use: 'Envoy admin' },
      { port: envoy.metrics, use: 'metrics' },
    ]),
    { port: ports.xds, use: 'xDS' },
    { port: ports.schedulerGrpc, use: 'scheduler' },
    { port: ports.agents, use: 'agents' },
    { port: ports.schedulerHttp, use: 'scheduler health' },
    { port: ports.redis, use: 'Redis' },
    ...(ports.kafka === undefined
      ? []
      : [
          { port: ports.kafka.broker, use: 'Kafka (with --kafka)' },
          { port: ports.kafka.controller, use: 'Kafka controller (with --kafka)' },
        ]),
    ...ports.pipelineGateways.flatMap(({ rest, grpc, http }) => [
      { port: rest, use: 'pipeline gateway REST' },
      { port: grpc, use: 'pipeline gateway gRPC' },
      { port: http, use: 'pipeline gateway health and metrics' },
    ]),
    ...ports.engines.map(({ http }) => ({ port: http, use: 'engine health and metrics (with Kafka)' })),
    ...ports.modelGateways.map(({ http }) => ({ port: http, use: 'model gateway health and metrics (with Kafka)' })),
    ...ports.replicas.flatMap(replicaPortUses),
  ]
}

export function replicaPortUses(ports: ReplicaPorts): PortUse[] {
  const { modelServerMetrics: metrics } = ports
  return [
    { port: ports.rest, use: 'model server REST' },
    { port: ports.grpc, use: 'model server gRPC' },
    { port: ports.agentHttp, use: 'agent health' },
    { port: ports.proxyRest, use: 'agent proxy REST' },
    { port: ports.proxyGrpc, use: 'agent proxy gRPC' },
    ...(metrics === undefined ? [] : [{ port: metrics, use: 'model server metrics' }]),
  ]
}
