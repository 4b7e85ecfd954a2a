import { toListenError } from '../../kit/http.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { type AdminAppOptions, buildAdminApp } from './app.ts'

/** Listens. Stopping ends watches and closes all connections. @throws ServingError PORT_IN_USE, CONFIG_INVALID */
export async function serveAdmin(
  options: AdminAppOptions,
  host: string,
  port: number,
): Promise<Running & { readonly port: number }> {
  const app = await buildAdminApp(options)
  try {
    await app.listen({ host, port })
  } catch (error) {
    throw toListenError(error instanceof Error ? error : new Error(String(error)), host, port)
  }
  const address = app.server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    stop: () => app.close(),
  }
}
