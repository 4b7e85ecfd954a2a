/** The JSON form of protobuf's well-known types, as protobuf itself defines it; `undefined` for any other type. */
export function toWellKnown(typeName: string, json: unknown, path: string): Record<string, unknown> | undefined {
  if (!typeName.startsWith('google.protobuf.')) return undefined
  switch (typeName.slice('google.protobuf.'.length)) {
    case 'Duration':
      return toDuration(json, path)
    case 'BoolValue':
      return wrapped(json, 'boolean', path)
    case 'StringValue':
      return wrapped(json, 'string', path)
    case 'UInt32Value':
    case 'Int32Value':
    case 'UInt64Value':
    case 'Int64Value':
    case 'DoubleValue':
    case 'FloatValue':
      return wrapped(json, 'number', path)
    case 'Struct':
      return toStruct(json, path)
    case 'Value':
      return toValue(json, path)
    default:
      return undefined
  }
}

function wrapped(json: unknown, kind: 'boolean' | 'string' | 'number', path: string): { value: unknown } {
  if (typeof json !== kind) throw new TypeError(`${path}: must be a ${kind}, is ${JSON.stringify(json)}`)
  return { value: json }
}

/** `"1.5s"` as proto3's JSON form has it. */
function toDuration(json: unknown, path: string): { seconds: number; nanos: number } {
  const match = typeof json === 'string' ? /^(\d+)(?:\.(\d{1,9}))?s$/.exec(json) : null
  if (match === null) throw new TypeError(`${path}: must be a duration such as "1.5s", is ${JSON.stringify(json)}`)
  return { seconds: Number(match[1]), nanos: Number((match[2] ?? '').padEnd(9, '0')) }
}

function toStruct(json: unknown, path: string): { fields: Record<string, unknown> } {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new TypeError(`${path}: must be an object`)
  return { fields: Object.fromEntries(Object.entries(json).map(([key, value]) => [key, toValue(value, path)])) }
}

// protobufjs spells the fields of its own well-known types in camelCase
function toValue(json: unknown, path: string): Record<string, unknown> {
  if (json === null) return { nullValue: 0 }
  if (typeof json === 'boolean') return { boolValue: json }
  if (typeof json === 'number') return { numberValue: json }
  if (typeof json === 'string') return { stringValue: json }
  if (Array.isArray(json)) return { listValue: { values: json.map((entry: unknown) => toValue(entry, path)) } }
  return { structValue: toStruct(json, path) }
}
