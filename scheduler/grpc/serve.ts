import { Server, type ServerOptions, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { GRPC_OPTIONS } from '../../api/grpc.ts'
import { serveGrpc } from '../../kit/grpc.ts'
import { toServerCredentials, toServerOptions } from '../../kit/grpc-security.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Security } from '../../kit/security.ts'

/** A peer that is gone without a word is noticed within 4 s. */
const KEEPALIVE: ServerOptions = {
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.keepalive_permit_without_calls': 1,
}

export interface Service {
  readonly definition: ServiceDefinition
  readonly handlers: UntypedServiceImplementation
  /** Answered without a token. */
  readonly isOpen?: boolean
}

/** Serves services on one port. Stopping ends open streams at once: their clients reconnect elsewhere. */
export async function serveServices(
  services: readonly Service[],
  host: string,
  port: number,
  security: Security,
): Promise<Running & { readonly port: number }> {
  const open = services.filter(({ isOpen }) => isOpen === true).map(({ definition }) => serviceNameOf(definition))
  const server = new Server({ ...GRPC_OPTIONS, ...KEEPALIVE, ...toServerOptions(security, open) })
  for (const { definition, handlers } of services) server.addService(definition, handlers)
  const listening = await serveGrpc(server, host, port, undefined, toServerCredentials(security))
  return {
    port: listening.port,
    stop: () => {
      server.forceShutdown()
      return Promise.resolve()
    },
  }
}

const serviceNameOf = (definition: ServiceDefinition): string =>
  Object.values(definition)[0]?.path.split('/')[1] ?? '(a service without methods)'
