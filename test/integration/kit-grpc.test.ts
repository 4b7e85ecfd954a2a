import { credentials, type handleUnaryCall, Server, status } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import { HealthCheckService } from '../../api/grpc.ts'
import { ServingError } from '../../kit/errors.ts'
import { fromGrpcError, serveGrpc, toGrpcStatus } from '../../kit/grpc.ts'
import type { Running } from '../../kit/lifecycle.ts'

describe('serveGrpc', () => {
  const stops: (() => Promise<void> | void)[] = []
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop()
  })

  /** A service whose call never ends, and a client that is calling it. */
  async function startWithOpenCall(): Promise<{ running: Running & { port: number }; ended: Promise<number> }> {
    const server = new Server()
    const called = new Promise<void>((resolve) => {
      server.addService(HealthCheckService.service, { HealthCheck: () => resolve() })
    })
    const running = await serveGrpc(server, '127.0.0.1', 0)
    const client = new HealthCheckService(`127.0.0.1:${String(running.port)}`, credentials.createInsecure())
    stops.push(
      () => running.stop(),
      () => client.close(),
    )
    const ended = new Promise<number>((resolve) => {
      client.HealthCheck({}, (error) => {
        resolve(error?.code ?? status.OK)
      })
    })
    await called
    return { running, ended }
  }

  it('stops within its deadline with a call open, and twice', async () => {
    const { running, ended } = await startWithOpenCall()
    await running.stop()
    await running.stop()
    expect(await ended).not.toBe(status.OK)
  })

  it('names a port that is in use, and an address that is none', async () => {
    const running = await serveGrpc(new Server(), '127.0.0.1', 0)
    stops.push(() => running.stop())
    await expect(serveGrpc(new Server(), '127.0.0.1', running.port)).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: `port ${String(running.port)} on 127.0.0.1 is in use`,
    })
    await expect(serveGrpc(new Server(), '192.0.2.1', 0)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('delivers an error however long its message is', async () => {
    const details = 'spec.field: must be a whole number, not "é"; '.repeat(5000)
    const server = new Server()
    const refuse: handleUnaryCall<object, object> = (_call, done) => {
      done(toGrpcStatus(new ServingError('MANIFEST_INVALID', details)))
    }
    server.addService(HealthCheckService.service, { HealthCheck: refuse })
    const running = await serveGrpc(server, '127.0.0.1', 0)
    const client = new HealthCheckService(`127.0.0.1:${String(running.port)}`, credentials.createInsecure())
    stops.push(
      () => running.stop(),
      () => client.close(),
    )
    const error = await new Promise<unknown>((resolve) => client.HealthCheck({}, resolve))
    expect(fromGrpcError(error, 'peer')).toMatchObject({
      code: 'MANIFEST_INVALID',
      message: expect.stringMatching(/^spec.field: .* more characters\)$/),
    })
  })
})
