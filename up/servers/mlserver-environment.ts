/** How one MLServer is told what to do: by its environment. Pure. */
import { MAX_MESSAGE_BYTES } from '../../api/grpc.ts'
import type { ReplicaPorts } from '../ports.ts'

/**
 * REST connections are kept for 5 s, which MLServer has no setting for; Envoy closes its own after 4 s.
 * What is not said here a user may say in the environment of `millrace up`.
 */
export function mlserverEnvironment(options: {
  readonly host: string
  readonly ports: Pick<ReplicaPorts, 'rest' | 'grpc' | 'modelServerMetrics'>
  readonly repository: string
}): Readonly<Record<string, string>> {
  const { host, ports, repository } = options
  return {
    MLSERVER_HOST: host,
    MLSERVER_HTTP_PORT: String(ports.rest),
    MLSERVER_GRPC_PORT: String(ports.grpc),
    ...(ports.modelServerMetrics === undefined
      ? { MLSERVER_METRICS_ENDPOINT: '' } // none
      : { MLSERVER_METRICS_PORT: String(ports.modelServerMetrics) }),
    MLSERVER_MODEL_REPOSITORY_ROOT: repository,
    MLSERVER_LOAD_MODELS_AT_STARTUP: 'false', // the agent says which
    MLSERVER_PARALLEL_WORKERS: '0', // models run in the server itself: streams work, and one process is one replica
    MLSERVER_GZIP_ENABLED: 'false', // would hold streams back
    MLSERVER_DEBUG: 'false', // a log line per request
    MLSERVER_GRPC_MAX_MESSAGE_LENGTH: String(MAX_MESSAGE_BYTES), // else 4 MiB
    PYTHONNOUSERSITE: '1', // nothing but what was installed for it
  }
}
