import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { GRPCInferenceService, Scheduler } from '../../../api/grpc.ts'
import { packageRoot } from '../../../kit/root.ts'

interface Fixture {
  readonly call: string
  readonly side: 'request' | 'response'
  readonly wire: string
  readonly content: object
}

const readFixtures = (name: string) =>
  JSON.parse(readFileSync(join(packageRoot, 'test/wire/fixtures', `${name}.json`), 'utf8')) as Fixture[]

const codecOf = (service: ServiceDefinition, { call, side }: Fixture) => {
  const method = service[call] as MethodDefinition<object, object> | undefined
  if (method === undefined) throw new Error(`no call ${call}`)
  return side === 'request'
    ? { write: method.requestSerialize, read: method.requestDeserialize }
    : { write: method.responseSerialize, read: method.responseDeserialize }
}

/** Bytes as base64, as JSON has them. */
const asJson = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(asJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, asJson(inner)]))
}

/** Everything that is on the wire, as our codec names it, without what it adds for what is absent. */
const presentIn = (decoded: unknown, content: unknown): unknown => {
  if (Array.isArray(content) && Array.isArray(decoded))
    return decoded.map((inner, index) => presentIn(inner, content[index]))
  if (typeof content !== 'object' || content === null || typeof decoded !== 'object' || decoded === null) return decoded
  return Object.fromEntries(
    Object.entries(content).map(([key, inner]) => [key, presentIn((decoded as Record<string, unknown>)[key], inner)]),
  )
}

describe.each([
  ['scheduler', Scheduler.service as ServiceDefinition],
  ['oip', GRPCInferenceService.service as ServiceDefinition],
])('the %s messages that another implementation wrote', (name, service) => {
  const fixtures = readFixtures(name).map(
    (fixture, index) => [`${String(index)} ${fixture.call} ${fixture.side}`, fixture] as const,
  )

  it.each(fixtures)('%s is read field by field', (_, fixture) => {
    const decoded = asJson(codecOf(service, fixture).read(Buffer.from(fixture.wire, 'base64')))
    expect(presentIn(decoded, fixture.content)).toEqual(fixture.content)
  })

  it.each(fixtures)('%s is written byte for byte', (_, fixture) => {
    expect(codecOf(service, fixture).write(fixture.content).toString('base64')).toBe(fixture.wire)
  })

  it.each(fixtures)('%s survives being read and written', (_, fixture) => {
    const { read, write } = codecOf(service, fixture)
    const decoded = read(Buffer.from(fixture.wire, 'base64'))
    expect(asJson(read(write(decoded)))).toEqual(asJson(decoded))
  })
})
