import { describe, expect, it } from 'vitest'
import { catalogue, issuesError, ServingError, toServingError } from '../../../kit/errors.ts'

describe('errors', () => {
  it.each(Object.entries(catalogue))(
    '%s has a gRPC status, an HTTP status of the same class and a hint',
    (_code, entry) => {
      expect(entry.grpc).toBeGreaterThanOrEqual(1)
      expect(entry.grpc).toBeLessThanOrEqual(16)
      expect(entry.http).toBeGreaterThanOrEqual(400)
      expect(entry.http).toBeLessThanOrEqual(599)
      expect(entry.help).toMatch(/^[A-Z`].*\.$/)
      if (entry.grpc === 3) expect(entry.http).toBe(400)
      if (entry.grpc === 5) expect(entry.http).toBe(404)
      if (entry.grpc === 14) expect([entry.http, entry.retryable]).toEqual([503, true])
    },
  )

  it('knows its statuses by its code', () => {
    const error = new ServingError('NO_CAPACITY', 'full')
    expect([error.grpcStatus, error.httpStatus, error.retryable, error.name]).toEqual([8, 429, true, 'ServingError'])
  })

  it('lists every issue in the message', () => {
    const issues = [
      { path: 'spec.replicas', message: 'must be at least 0' },
      { path: 'spec.x', message: 'unknown field' },
    ]
    const error = issuesError('MODEL_SPEC_INVALID', 'Model iris', issues)
    expect(error.message).toBe('Model iris has 2 problem(s): spec.replicas: must be at least 0; spec.x: unknown field')
    expect(error.issues).toBe(issues)
  })

  it('passes a ServingError through, and keeps the cause of any other', () => {
    const own = new ServingError('CANCELLED', 'x')
    expect(toServingError(own)).toBe(own)
    const cause = new TypeError('undefined is not a function')
    expect(toServingError(cause)).toMatchObject({ code: 'INVARIANT_BROKEN', message: cause.message, cause })
    expect(toServingError('text')).toMatchObject({ code: 'INVARIANT_BROKEN', message: 'text' })
    expect(toServingError(undefined).message).toBe('undefined')
  })

  it('tells an abort from a timeout', async () => {
    const aborted = await Promise.reject(AbortSignal.abort().reason as Error).catch(toServingError)
    expect(aborted.code).toBe('CANCELLED')
    expect(toServingError(new DOMException('too late', 'TimeoutError')).code).toBe('DEADLINE_EXCEEDED')
  })
})
