/** The model server as one thing that starts and stops: both interfaces onto one repository. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Server as HttpServer } from 'node:http'
import { ServingError } from '../kit/errors.ts'
import { serveGrpc } from '../kit/grpc.ts'
import { toServerCredentials } from '../kit/grpc-security.ts'
import { listen } from '../kit/http.ts'
import type { Running } from '../kit/lifecycle.ts'
import type { Logger } from '../kit/log.ts'
import { loadDataPathSecurity } from '../kit/security.ts'
import { packageRoot } from '../kit/root.ts'
import type { ModelServerConfig } from './config.ts'
import type { Deps } from './deps.ts'
import { createGrpcServer } from './grpc/server.ts'
import { createRepository } from './repository.ts'
import { createRestServer } from './rest/server.ts'
import type { Runtime } from './runtimes/runtime.ts'

export interface ModelServer extends Running {
  readonly restPort: number
  readonly grpcPort: number
}

/** @throws ServingError CONFIG_INVALID, PORT_IN_USE */
export async function startModelServer(
  config: ModelServerConfig,
  runtimes: readonly Runtime[],
  log: Logger,
): Promise<ModelServer> {
  if (!statSync(config.repository, { throwIfNoEntry: false })?.isDirectory())
    throw new ServingError('CONFIG_INVALID', `--repository ${config.repository} is not a folder`)
  const security = loadDataPathSecurity(config, config.host, 'a model server', log)
  let ready = true
  const deps: Deps = {
    repository: createRepository({
      folder: config.repository,
      runtimes,
      limits: { concurrent: config.maxConcurrentPerModel, queued: config.maxQueuedPerModel },
      log,
    }),
    isReady: () => ready,
    identity: { name: 'millrace', version: packageVersion(), extensions: ['model_repository', 'binary_tensor_data'] },
    limits: config,
    log,
  }
  const rest = createRestServer(deps, security)
  const restPort = await listen(rest, config.host, config.restPort)
  const stopRest = () => drainHttp(rest, config.drainTimeoutMs)
  try {
    const grpc = await serveGrpc(
      createGrpcServer(deps),
      config.host,
      config.grpcPort,
      config.drainTimeoutMs,
      toServerCredentials(security),
    )
    return {
      restPort,
      grpcPort: grpc.port,
      async stop() {
        ready = false
        await Promise.all([stopRest(), grpc.stop()]) // requests in flight are answered, new connections refused
      },
    }
  } catch (error) {
    await stopRest()
    throw error
  }
}

/** Closes idle connections at once, the others after their answer or at the deadline. */
function drainHttp(server: HttpServer, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.closeAllConnections()
    }, deadlineMs)
    server.close(() => {
      clearTimeout(force)
      resolve()
    })
  })
}

function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  return manifest.version
}
