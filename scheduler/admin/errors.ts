/** Every error as `{code, message, issues, help, retryable}` with the status of the catalogue. */
import type { FastifyError, FastifyInstance } from 'fastify'
import { catalogue, ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'

export function answerErrors(app: FastifyInstance, log: Logger, bodyLimit: number): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const failure = toFailure(error, bodyLimit)
    const { method, url } = request
    if (failure.httpStatus >= 500)
      log.warn({ method, url, code: failure.code, error: failure.message }, 'request failed')
    return reply.code(failure.httpStatus).send(toBody(failure))
  })
  app.setNotFoundHandler((request, reply) => {
    const failure = new ServingError(
      'NOT_FOUND',
      `there is no ${request.method} ${request.url.split('?')[0] ?? ''}: see /docs`,
    )
    return reply.code(404).send(toBody(failure))
  })
}

const toBody = ({ code, message, issues, retryable }: ServingError): object => ({
  code,
  message,
  issues,
  help: catalogue[code].help,
  retryable,
})

/** What fastify itself refuses, in words of ours. */
function toFailure(error: FastifyError | ServingError, bodyLimit: number): ServingError {
  if (error instanceof ServingError) return error
  if (error.statusCode === 413)
    return new ServingError('REQUEST_TOO_LARGE', `the body is larger than ${String(bodyLimit)} bytes`, { cause: error })
  if (error.statusCode === 415)
    return new ServingError('MEDIA_TYPE_UNSUPPORTED', 'content-type: send application/json', { cause: error })
  if (error.statusCode !== undefined && error.statusCode < 500)
    return new ServingError('REQUEST_INVALID', `the request cannot be read: ${error.message}`, { cause: error })
  return toServingError(error)
}
