/** `/v1/models`, `/v1/servers`, ...: list, get, put, delete; of what has versions also rollback. */
import type { FastifyPluginCallback, FastifySchema } from 'fastify'
import { type Static, Type } from 'typebox'
import { checkFields, formatPath } from '../../../api/resources/check.ts'
import { type Kind, parseResource, type Resource } from '../../../api/resources/resource.ts'
import type { StoredResource } from '../../../api/resources/status.ts'
import { type Issue, issuesError } from '../../../kit/errors.ts'
import { MAX_PAGE } from '../../operations/operations.ts'
import { type BackendSource, requireBackend } from '../backend.ts'
import { parseLabelSelector } from '../label-selector.ts'
import { READ_PROBLEMS, ref, WRITE_PROBLEMS } from '../schemas.ts'

const closed = { additionalProperties: false } as const
const Named = Type.Object({ name: Type.String({ minLength: 1 }) })
const ListQuery = Type.Object(
  {
    after: Type.Optional(Type.String({ description: 'Names after this one: the `next` of the page before.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE, description: 'How many; 500 when not said.' })),
    labelSelector: Type.Optional(Type.String({ description: 'a=b,c!=d,e,!f: all of it must hold.' })),
  },
  closed,
)
const PutQuery = Type.Object(
  {
    dryRun: Type.Optional(Type.Boolean({ description: 'Check everything and answer as if; write nothing.' })),
    expectedGeneration: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Refuse unless the stored generation is this one; the same as If-Match.',
      }),
    ),
  },
  closed,
)
const DeleteQuery = Type.Object(
  { force: Type.Optional(Type.Boolean({ description: 'Even if more than 20 % of all routes go at once.' })) },
  closed,
)
const RollbackBody = Type.Object(
  { version: Type.Optional(Type.Integer({ minimum: 1, description: 'Absent: the one before the latest.' })) },
  closed,
)
const RolledBack = Type.Object({
  fromVersion: Type.Integer(),
  restoredVersion: Type.Integer(),
  newVersion: Type.Integer(),
})

export interface ResourcesOptions {
  readonly kind: Kind
  readonly source: BackendSource
}

export const resourceRoutes: FastifyPluginCallback<ResourcesOptions> = (app, { kind, source }, done) => {
  const stored = ref(`Stored${kind}`)
  const noun = kind.toLowerCase()
  const article = kind === 'Experiment' ? 'an' : 'a'
  const tags = [`${noun}s`]
  const Applied = Type.Object({
    outcome: Type.Enum(['CREATED', 'CHANGED', 'UNCHANGED']),
    resource: stored,
    warnings: Type.Array(Type.String({ description: 'Fields that are accepted and do nothing.' })),
  })

  app.get<{ Querystring: Static<typeof ListQuery> }>(
    '',
    describe({
      summary: `Lists ${noun}s by name`,
      tags,
      querystring: ListQuery,
      response: { 200: Type.Object({ items: Type.Array(stored), next: Type.String() }), ...READ_PROBLEMS },
    }),
    ({ query }) => {
      const { after = '', limit = 0, labelSelector = '' } = query
      const isWanted = parseLabelSelector(labelSelector)
      const { resources, next } = requireBackend(source).operations.list(kind, { after, limit, isWanted })
      return { items: resources, next }
    },
  )

  app.get<{ Params: Static<typeof Named> }>(
    '/:name',
    describe({
      summary: `${article === 'a' ? 'A' : 'An'} ${noun} with its status and events`,
      tags,
      params: Named,
      response: { 200: Type.Object({ resource: stored, events: Type.Array(ref('Event')) }), ...READ_PROBLEMS },
    }),
    async ({ params }, reply) => {
      const { operations } = requireBackend(source)
      const resource = operations.get(kind, params.name)
      const events = await operations.events(kind, params.name)
      return reply.headers(etagOf(resource)).send({ resource, events })
    },
  )

  app.put<{ Params: Static<typeof Named>; Querystring: Static<typeof PutQuery> }>(
    '/:name',
    describe({
      summary: `Creates or changes ${article} ${noun}`,
      tags,
      params: Named,
      querystring: PutQuery,
      headers: Type.Object({
        'if-match': Type.Optional(Type.String({ description: 'The generation, as an ETag: "3".' })),
      }),
      body: ref(kind),
      response: { 200: Applied, 201: Applied, ...WRITE_PROBLEMS },
    }),
    async ({ params, query, body, headers }, reply) => {
      const resource = checkIdentity(parseResource(body), kind, params.name)
      const expectedGeneration = expectedGenerationOf(query.expectedGeneration, headers['if-match'])
      const dryRun = query.dryRun ?? false
      const applied = await requireBackend(source).operations.apply(resource, { dryRun, expectedGeneration })
      const isNew = applied.outcome === 'CREATED' && !dryRun
      return reply
        .code(isNew ? 201 : 200)
        .headers(dryRun ? {} : etagOf(applied.resource))
        .send(applied)
    },
  )

  app.delete<{ Params: Static<typeof Named>; Querystring: Static<typeof DeleteQuery> }>(
    '/:name',
    describe({
      summary: `Deletes ${article} ${noun}`,
      description:
        'Accepted when it is written. What is routed is taken out of the routes, then unloaded, then gone: watch it.',
      tags,
      params: Named,
      querystring: DeleteQuery,
      response: { 202: Type.Object({ kind: Type.Literal(kind), name: Type.String() }), ...WRITE_PROBLEMS },
    }),
    async ({ params, query }, reply) => {
      await requireBackend(source).operations.remove(kind, params.name, query.force ?? false)
      return reply.code(202).send({ kind, name: params.name })
    },
  )

  if (kind === 'Model' || kind === 'Pipeline')
    app.post<{ Params: Static<typeof Named> }>(
      '/:name/rollback',
      describe({
        summary: "Makes a new version out of an earlier version's spec",
        tags,
        params: Named,
        body: RollbackBody,
        response: { 200: RolledBack, ...WRITE_PROBLEMS },
      }),
      ({ params, body = {} }) => {
        const issues = checkFields(RollbackBody, body)
        if (issues.length > 0)
          throw issuesError(
            'REQUEST_INVALID',
            'the body',
            issues.map((issue) => ({ path: formatPath(issue.path), message: issue.message })),
          )
        const { version = 0 } = body as Static<typeof RollbackBody>
        return requireBackend(source).operations.rollback(kind, params.name, version)
      },
    )
  done()
}

const describe = (schema: FastifySchema): { readonly schema: FastifySchema } => ({ schema })

/** What is put must be what the path names. */
function checkIdentity(resource: Resource, kind: Kind, name: string): Resource {
  const issues: Issue[] = []
  if (resource.kind !== kind) issues.push({ path: 'kind', message: `is ${resource.kind}, but the path is for ${kind}` })
  if (resource.metadata.name !== name)
    issues.push({ path: 'metadata.name', message: `is ${resource.metadata.name}, but the path names ${name}` })
  if (issues.length > 0) throw issuesError('REQUEST_INVALID', 'the request', issues)
  return resource
}

/** 0: not checked. `If-Match: *` asks for nothing more than being there, which an update does not need. */
function expectedGenerationOf(queried: number | undefined, ifMatch: string | undefined): number {
  const tag = /^\s*(?:W\/)?"?(?<generation>[1-9]\d{0,14})"?\s*$/.exec(ifMatch ?? '')?.groups?.['generation']
  if (ifMatch !== undefined && tag === undefined)
    throw issuesError('REQUEST_INVALID', 'the request', [
      { path: 'If-Match', message: `${JSON.stringify(ifMatch)} is not understood: give one generation, as in "3"` },
    ])
  const matched = tag === undefined ? undefined : Number(tag)
  if (matched !== undefined && queried !== undefined && matched !== queried)
    throw issuesError('REQUEST_INVALID', 'the request', [
      { path: 'If-Match', message: `says ${String(matched)} and expectedGeneration ${String(queried)}: give one` },
    ])
  return queried ?? matched ?? 0
}

function etagOf({ metadata }: StoredResource): Record<string, string> {
  return metadata.generation === undefined ? {} : { etag: `"${String(metadata.generation)}"` }
}
