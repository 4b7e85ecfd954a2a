import { describe, expect, it } from 'vitest'
import { encode, encodeAny } from '../../../xds/proto/encode.ts'
import { registry } from '../../../xds/proto/registry.ts'

const PLUGIN = 'envoy.extensions.wasm.v3.PluginConfig'

/** What another reader of the same bytes finds. */
const decode = (typeName: string, bytes: Uint8Array): unknown => {
  const type = registry.lookupType(typeName)
  return type.toObject(type.decode(bytes), { enums: String, longs: Number })
}

describe('encoding a resource', () => {
  it.each([
    ['an unknown field', { nam: 'x' }, 'PluginConfig.nam: PluginConfig has no such field'],
    ['an unknown field far down', { vm_config: { code: { local: { file: '' } } } }, 'vm_config.code.local.file'],
    ['an unknown field in an Any', { configuration: any('Duration', { sec: 1 }) }, 'must be a duration'],
    ['a value of a wrong kind', { name: 7 }, 'PluginConfig.name: must be a string, is 7'],
    ['an enum value that does not exist', { failure_policy: 'FAIL_SOFT' }, '"FAIL_SOFT" is none of UNSPECIFIED'],
    ['an object where a list belongs', { capability_restriction_config: [] }, 'must be an object'],
    ['a malformed duration', { reload_config: { backoff: { base_interval: '1m' } } }, 'must be a duration'],
    ['an Any without its type', { configuration: { value: 'x' } }, 'needs an "@type"'],
  ])('%s throws and names the place', (_what, json, message) => {
    expect(() => encode(PLUGIN, json)).toThrow(message)
  })

  it('fields that the bundled protos lack have the numbers that Envoy reads', () => {
    const bytes = encode(PLUGIN, { failure_policy: 'FAIL_RELOAD', allow_on_headers_stop_iteration: true })
    expect(Buffer.from(bytes).toString('hex')).toBe('3801' + '4a020801')
    const reply = encode('envoy.config.route.v3.DirectResponseAction', { status: 404, body_format: {} })
    expect(Buffer.from(reply).toString('hex')).toBe('089403' + '1a00')
    const action = encodeAny({
      '@type': 'type.googleapis.com/envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction',
      cluster: 'c',
    })
    expect(Buffer.from(action.value).toString('hex')).toBe('0a0163')
  })

  it.each([
    ['0s', {}],
    ['1.5s', { seconds: 1, nanos: 500_000_000 }],
    ['0.000000001s', { nanos: 1 }],
  ])('the duration %s', (text, expected) => {
    const bytes = encode('envoy.config.core.v3.BackoffStrategy', { base_interval: text })
    expect(decode('envoy.config.core.v3.BackoffStrategy', bytes)).toEqual({ base_interval: expected })
  })

  it('a free-form object keeps every kind of value', () => {
    const json = { text: 'a', number: 1.5, truth: true, nothing: null, list: ['b'], inner: { deep: 'c' } }
    const bytes = encode('envoy.config.core.v3.SubstitutionFormatString', { json_format: json })
    const text = (value: string) => ({ stringValue: value })
    expect(decode('envoy.config.core.v3.SubstitutionFormatString', bytes)).toEqual({
      json_format: {
        fields: {
          text: text('a'),
          number: { numberValue: 1.5 },
          truth: { boolValue: true },
          nothing: { nullValue: 'NULL_VALUE' },
          list: { listValue: { values: [text('b')] } },
          inner: { structValue: { fields: { deep: text('c') } } },
        },
      },
    })
  })

  it('an Any that is encoded already gives the same bytes as one that is not', () => {
    const json = any('StringValue', { value: 'shards 256' })
    expect(encode(PLUGIN, { configuration: encodeAny(json) })).toEqual(encode(PLUGIN, { configuration: json }))
  })
})

function any(name: string, fields: object): { '@type': string } {
  return { '@type': `type.googleapis.com/google.protobuf.${name}`, ...fields }
}
