import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { catalogue, type ErrorCode, ServingError } from '../../../kit/errors.ts'
import { ERROR_CODE_KEY, fromGrpcError, toGrpcStatus } from '../../../kit/grpc.ts'

const serviceError = (code: number, details: string, metadata = new Metadata()): ServiceError =>
  Object.assign(new Error(`${String(code)} X: ${details}`), { code, details, metadata })

describe('toGrpcStatus', () => {
  it.each(Object.keys(catalogue) as ErrorCode[])('%s survives the way there and back', (code) => {
    const sent = toGrpcStatus(new ServingError(code, 'why'))
    expect(sent.code).toBe(catalogue[code].grpc)
    const received = fromGrpcError(serviceError(sent.code, sent.details, sent.metadata), 'peer')
    expect([received.code, received.message]).toEqual([code, 'why'])
  })

  it('lets a compatible API choose its statuses', () => {
    expect(toGrpcStatus(new ServingError('MODEL_SPEC_INVALID', 'x'), () => status.FAILED_PRECONDITION).code).toBe(9)
  })

  it('answers INTERNAL for what nobody expected', () => {
    expect(toGrpcStatus(new TypeError('x')).code).toBe(status.INTERNAL)
  })
})

describe('fromGrpcError', () => {
  it.each([
    [status.UNAVAILABLE, 'SCHEDULER_UNAVAILABLE'],
    [status.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED'],
    [status.UNIMPLEMENTED, 'UNIMPLEMENTED'],
    [status.NOT_FOUND, 'NOT_FOUND'],
    [status.INVALID_ARGUMENT, 'REQUEST_INVALID'],
    [status.CANCELLED, 'CANCELLED'],
    [status.RESOURCE_EXHAUSTED, 'REQUEST_TOO_LARGE'],
    [status.INTERNAL, 'PEER_FAILED'],
    [status.UNKNOWN, 'PEER_FAILED'],
  ])('gives status %d the code %s when the peer names none', (grpcStatus, code) => {
    const error = fromGrpcError(serviceError(grpcStatus, 'why'), 'scheduler 127.0.0.1:9004')
    expect(error.code).toBe(code)
    expect(error.message).toContain('scheduler 127.0.0.1:9004')
    expect(error.message).toContain('why')
  })

  it('ignores a code that is not in the catalogue', () => {
    const metadata = new Metadata()
    for (const code of ['toString', 'NEWER_CODE']) {
      metadata.set(ERROR_CODE_KEY, code)
      expect(fromGrpcError(serviceError(status.NOT_FOUND, 'x', metadata), 'peer').code).toBe('NOT_FOUND')
    }
  })

  it('lets the caller say what an unreachable peer is', () => {
    expect(fromGrpcError(serviceError(14, 'x'), 'ingress', 'INGRESS_UNAVAILABLE').code).toBe('INGRESS_UNAVAILABLE')
  })

  it('leaves errors that are not of gRPC to the funnel', () => {
    const system = Object.assign(new Error('no such file'), { code: 'ENOENT' })
    expect(fromGrpcError(system, 'peer').code).toBe('INVARIANT_BROKEN')
    expect(fromGrpcError('text', 'peer').code).toBe('INVARIANT_BROKEN')
  })
})
