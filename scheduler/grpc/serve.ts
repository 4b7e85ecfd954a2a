import { Server, type ServerOptions, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { GRPC_OPTIONS } from '../../api/grpc.ts'
import { serveGrpc } from '../../kit/grpc.ts'
import type { Running } from '../../kit/lifecycle.ts'

/** A peer that is gone without a word is noticed within 4 s. */
const KEEPALIVE: ServerOptions = {
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.keepalive_permit_without_calls': 1,
}

export interface Service {
  readonly definition: ServiceDefinition
  readonly handlers: UntypedServiceImplementation
}

/** Serves services on one port. Stopping ends open streams at once: their clients reconnect elsewhere. */
export async function serveServices(
  services: readonly Service[],
  host: string,
  port: number,
): Promise<Running & { readonly port: number }> {
  const server = new Server({ ...GRPC_OPTIONS, ...KEEPALIVE })
  for (const { definition, handlers } of services) server.addService(definition, handlers)
  const listening = await serveGrpc(server, host, port)
  return {
    port: listening.port,
    stop: () => {
      server.forceShutdown()
      return Promise.resolve()
    },
  }
}
