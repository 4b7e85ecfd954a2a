import type protobuf from 'protobufjs'
import { registry } from './registry.ts'
import { toWellKnown } from './well-known.ts'

/** A message in proto3's JSON form with Envoy's snake_case names; an `Any` carries its type under `@type`. */
export interface Json {
  readonly [key: string]: unknown
}

const TYPE_PREFIX = 'type.googleapis.com/'

/** Why a message cannot be encoded: a translator named a field that does not exist, or gave it a wrong value. */
export class EncodeError extends Error {
  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`)
    this.name = 'EncodeError'
  }
}

/** An `Any` whose content is bytes already: what is encoded once is spliced into every message that holds it. */
export class EncodedAny {
  readonly type_url: string
  readonly value: Uint8Array

  constructor(type_url: string, value: Uint8Array) {
    this.type_url = type_url
    this.value = value
  }
}

/** Encodes one message. Equal input gives equal bytes. @throws EncodeError on unknown keys and on values of a wrong kind */
export function encode(typeName: string, json: Json): Uint8Array {
  const type = registry.lookupType(typeName)
  return type.encode(toMessage(type, json, typeName)).finish()
}

/** Encodes a message that names its own type under `@type`. */
export function encodeAny(json: Json): EncodedAny {
  return toAny(json, 'Any')
}

function toMessage(type: protobuf.Type, json: unknown, path: string): object {
  const wellKnown = toWellKnown(type.fullName.slice(1), json, path)
  if (wellKnown !== undefined) return wellKnown
  if (type.fullName === '.google.protobuf.Any') return toAny(json, path)
  if (!isObject(json)) throw new EncodeError(path, `must be an object, is ${JSON.stringify(json)}`)
  const message: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(json)) {
    const field = type.fields[key]
    if (field === undefined) throw new EncodeError(`${path}.${key}`, `${type.name} has no such field`)
    if (value === undefined) continue
    message[key] = toField(field, value, `${path}.${key}`)
  }
  return message
}

function toField(field: protobuf.Field, value: unknown, path: string): unknown {
  if (field.map) {
    if (!isObject(value)) throw new EncodeError(path, 'must be a map')
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => [key, toScalar(field, entry, `${path}[${key}]`)]),
    )
  }
  if (field.repeated) {
    if (!Array.isArray(value)) throw new EncodeError(path, 'must be a list')
    return value.map((entry: unknown, index) => toScalar(field, entry, `${path}[${String(index)}]`))
  }
  return toScalar(field, value, path)
}

function toScalar(field: protobuf.Field, value: unknown, path: string): unknown {
  const resolved = field.resolvedType
  if (resolved !== null && 'values' in resolved) return toEnumNumber(resolved, value, path)
  if (resolved !== null) return toMessage(resolved, value, path)
  const expected = scalarKind(field.type)
  if (expected === 'bytes') {
    if (typeof value === 'string') return Buffer.from(value, 'base64')
    if (value instanceof Uint8Array) return value
    throw new EncodeError(path, 'must be bytes')
  }
  if (typeof value !== expected) throw new EncodeError(path, `must be a ${expected}, is ${JSON.stringify(value)}`)
  return value
}

function toEnumNumber(type: protobuf.Enum, value: unknown, path: string): number {
  const number = typeof value === 'string' ? type.values[value] : undefined
  if (number === undefined)
    throw new EncodeError(path, `${JSON.stringify(value)} is none of ${Object.keys(type.values).join(', ')}`)
  return number
}

function toAny(json: unknown, path: string): EncodedAny {
  if (json instanceof EncodedAny) return json
  if (!isObject(json) || typeof json['@type'] !== 'string') throw new EncodeError(path, 'needs an "@type"')
  const { '@type': typeUrl, ...fields } = json
  const type = registry.lookupType(typeUrl.slice(TYPE_PREFIX.length))
  const wellKnown = toWellKnown(type.fullName.slice(1), fields['value'], path)
  return new EncodedAny(typeUrl, type.encode(wellKnown ?? toMessage(type, fields, path)).finish())
}

function scalarKind(type: string): 'string' | 'boolean' | 'bytes' | 'number' {
  return type === 'string' || type === 'bytes' ? type : type === 'bool' ? 'boolean' : 'number'
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
