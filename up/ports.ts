/** Where everything listens, as data. */

export interface ReplicaPorts {
  readonly rest: number
  readonly grpc: number
  readonly agentHttp: number
}

export interface EnvoyPorts {
  readonly admin: number
  /** Of the metrics process beside it. */
  readonly metrics: number
}

export interface MeshPorts {
  /** Of all Envoys: they get the same listener. Several on one machine share it, and the system spreads connections. */
  readonly ingress: number
  readonly redis: number
  readonly xds: number
  readonly schedulerGrpc: number
  readonly agents: number
  readonly schedulerHttp: number
  readonly envoys: readonly EnvoyPorts[]
  readonly replicas: readonly ReplicaPorts[]
}

/** The documented ports, all moved by `offset`: one Envoy, `replicas` model servers. */
export function standardPorts(offset: number, replicas: number): MeshPorts {
  return {
    ingress: 9000 + offset,
    redis: 9079 + offset,
    xds: 9002 + offset,
    schedulerGrpc: 9004 + offset,
    agents: 9005 + offset,
    schedulerHttp: 9006 + offset,
    envoys: [{ admin: 9901 + offset, metrics: 9003 + offset }],
    replicas: Array.from({ length: replicas }, (_, index) => {
      const first = 9100 + offset + 10 * index
      return { rest: first, grpc: first + 1, agentHttp: first + 2 }
    }),
  }
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
    ...ports.replicas.flatMap((replica) => [
      { port: replica.rest, use: 'model server REST' },
      { port: replica.grpc, use: 'model server gRPC' },
      { port: replica.agentHttp, use: 'agent health' },
    ]),
  ]
}
