import type { Json } from '../proto/encode.ts'
import { type Protocol, typeUrl } from './names.ts'

export type WasmModule = 'router' | 'rename-rest' | 'rename-grpc' | 'mirror'

/** The Wasm filter around one of our modules, which Envoy reads from `<wasmFolder>/<module>.wasm` on its own machine. */
export function toWasmFilter(module: WasmModule, wasmFolder: string, pluginFields: Json = {}): Json {
  return {
    '@type': typeUrl('envoy.extensions.filters.http.wasm.v3.Wasm'),
    config: {
      name: module,
      root_id: module,
      failure_policy: 'FAIL_RELOAD', // unset, one trap answers 503 for every plugin on the VM until Envoy restarts
      reload_config: RELOAD,
      vm_config: {
        vm_id: module,
        runtime: 'envoy.wasm.runtime.v8',
        code: { local: { filename: `${wasmFolder}/${module}.wasm` } },
      },
      ...pluginFields,
    },
  }
}

/** A worker whose VM trapped answers 503 until it may make a new one; the default lets it wait a second and more. */
const RELOAD = { backoff: { base_interval: '0.1s', max_interval: '1s' } } as const

/** The upstream filter that writes the internal, versioned name into the path or into the gRPC message. */
export function toRenameFilter(protocol: Protocol, wasmFolder: string): Json {
  return { name: 'rename', typed_config: toWasmFilter(`rename-${protocol}`, wasmFolder) }
}

/** The upstream filter that counts copies. */
export function toMirrorFilter(wasmFolder: string): Json {
  return { name: 'mirror', typed_config: toWasmFilter('mirror', wasmFolder) }
}
