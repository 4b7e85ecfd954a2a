/** Paths and queries, checked by the schemas of their routes; bodies are checked by what they are given to. */
import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { type Issue, issuesError } from '../../kit/errors.ts'

/** Text becomes the number or truth value that the schema wants; every problem is told at once. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  if (httpPart === 'body' || httpPart === 'headers') return (value: unknown) => ({ value })
  return (sent: unknown) => {
    const value = Value.Convert(schema, Value.Clone(sent))
    if (Value.Check(schema, value)) return { value }
    const issues: Issue[] = Value.Errors(schema, value).map((error) => ({
      path: error.instancePath.slice(1) || '(all)',
      message: messageOf(error),
    }))
    return { error: issuesError('REQUEST_INVALID', httpPart === 'params' ? 'the path' : 'the query', issues) }
  }
}

/** Names the keys that are not known, which the standard message does not. */
function messageOf(error: { readonly message: string; readonly params?: unknown }): string {
  const extra = (error.params as { additionalProperties?: readonly string[] } | undefined)?.additionalProperties
  return extra === undefined ? error.message : `unknown: ${extra.join(', ')}`
}
