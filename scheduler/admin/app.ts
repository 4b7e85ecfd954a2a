/** The administration API over HTTP, with health and metrics beside it. Built here, listened on in serve.ts. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { fastify, type FastifyInstance } from 'fastify'
import type { TSchema } from 'typebox'
import { createWebServer, type HttpRoutes, isOpenPath } from '../../kit/http.ts'
import type { Logger } from '../../kit/log.ts'
import { notAdmitted, type Security } from '../../kit/security.ts'
import type { BackendSource } from './backend.ts'
import { answerErrors } from './errors.ts'
import { decisionRoutes } from './plugins/decisions.ts'
import { healthPlugin } from './plugins/health.ts'
import { nodeRoutes } from './plugins/nodes.ts'
import { placementRoutes } from './plugins/placement.ts'
import { resourceRoutes } from './plugins/resources.ts'
import { watchRoutes } from './plugins/watch.ts'
import { workerRoutes } from './plugins/workers.ts'
import { SCHEMAS } from './schemas.ts'
import { compileValidator } from './validation.ts'

/** A Model of a thousand long parameters fits many times. */
const BODY_LIMIT = 8 * 1024 * 1024
/** Longer than any name: a name that is too long is a resource that does not exist, not a path. */
const MAX_PARAM_LENGTH = 1_024

export interface AdminAppOptions {
  readonly source: BackendSource
  readonly security: Security
  readonly health: HttpRoutes
  readonly version: string
  readonly log: Logger
  readonly heartbeatMs?: number
}

export async function buildAdminApp(options: AdminAppOptions): Promise<FastifyInstance> {
  const { source, security, log, heartbeatMs } = options
  const app = fastify({
    bodyLimit: BODY_LIMIT,
    forceCloseConnections: true,
    serverFactory: (handler) => createWebServer(security, handler),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
  })
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler<TSchema>(compileValidator)
  app.setSerializerCompiler(() => (data) => JSON.stringify(data)) // schemas describe answers, they do not filter them
  app.addHook('onRequest', (request, _reply, next) => {
    const isAdmitted = isOpenPath(request.url.split('?')[0] ?? '') || security.admits(request.headers.authorization)
    next(isAdmitted ? undefined : notAdmitted())
  })
  answerErrors(app, log, BODY_LIMIT)
  for (const [name, schema] of Object.entries(SCHEMAS)) app.addSchema({ ...schema, $id: name })

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Millrace administration API', version: options.version },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{}, { token: [] }],
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, index) => nameOf(json, index) },
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
  await app.register(healthPlugin, { routes: options.health })
  await app.register(resourceRoutes, { prefix: '/v1/models', kind: 'Model', source })
  await app.register(resourceRoutes, { prefix: '/v1/servers', kind: 'Server', source })
  await app.register(resourceRoutes, { prefix: '/v1/pipelines', kind: 'Pipeline', source })
  await app.register(resourceRoutes, { prefix: '/v1/experiments', kind: 'Experiment', source })
  await app.register(decisionRoutes, { prefix: '/v1/experiments', source })
  await app.register(watchRoutes, {
    prefix: '/v1/watch',
    source,
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
  })
  await app.register(placementRoutes, { prefix: '/v1/placement', source })
  await app.register(nodeRoutes, { prefix: '/v1/nodes', source })
  await app.register(workerRoutes, { prefix: '/v1/workers', source })
  await app.ready()
  return app
}

const nameOf = ({ $id }: { readonly $id?: unknown }, index: number): string =>
  typeof $id === 'string' ? $id : `schema${String(index)}`
