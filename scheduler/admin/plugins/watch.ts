import type { FastifyPluginCallback } from 'fastify'
import { type Static, Type } from 'typebox'
import { KINDS } from '../../../api/resources/resource.ts'
import { type BackendSource, requireBackend } from '../backend.ts'
import { startEventStream } from '../event-stream.ts'
import { parseLabelSelector } from '../label-selector.ts'
import { WATCH_PROBLEMS } from '../schemas.ts'

const WatchQuery = Type.Object(
  {
    kind: Type.Enum(KINDS),
    name: Type.Optional(Type.String({ description: 'This one only.' })),
    labelSelector: Type.Optional(Type.String({ description: 'a=b,c!=d,e,!f: all of it must hold.' })),
  },
  { additionalProperties: false },
)

export interface WatchOptions {
  readonly source: BackendSource
  readonly heartbeatMs?: number
}

/** `/v1/watch`: server-sent events until the client leaves or the scheduler stops. */
export const watchRoutes: FastifyPluginCallback<WatchOptions> = (app, { source, heartbeatMs }, done) => {
  const open = new Set<() => void>()

  app.get<{ Querystring: Static<typeof WatchQuery> }>(
    '',
    {
      schema: {
        summary: 'The state of now, then every change, as server-sent events',
        description:
          'Events: reset (forget what you have), state (a resource), synced (all of them were told), deleted. Give the last id as Last-Event-ID to go on from there; after too long an absence everything comes again, after a reset.',
        tags: ['watch'],
        querystring: WatchQuery,
        headers: Type.Object({ 'last-event-id': Type.Optional(Type.String()) }),
        response: {
          200: { description: 'Events', content: { 'text/event-stream': { schema: Type.String() } } },
          ...WATCH_PROBLEMS,
        },
      },
    },
    ({ query, headers }, reply) => {
      const backend = requireBackend(source)
      const { kind, name } = query
      if (name !== undefined && headers['last-event-id'] === undefined) backend.operations.get(kind, name)
      const selector = parseLabelSelector(query.labelSelector ?? '')
      const lastEventId = headers['last-event-id']
      backend.feed.refuseWhenFull()
      reply.hijack()
      const { raw } = reply
      const end = startEventStream(
        raw,
        {
          kind,
          isWanted: (candidate) => name === undefined || candidate === name,
          selector,
          lastEventId: typeof lastEventId === 'string' ? lastEventId : undefined,
          ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
        },
        backend,
      )
      const stop = (): void => {
        open.delete(stop)
        end()
        raw.end()
      }
      open.add(stop)
      raw.once('close', stop)
      raw.once('error', stop)
    },
  )
  app.addHook('preClose', (closed) => {
    for (const stop of open) stop()
    closed()
  })
  done()
}
