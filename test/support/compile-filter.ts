import { join } from 'node:path'
import { packageRoot } from '../../kit/root.ts'
import * as host from '../../wasm-filter/host/proxy-host.ts'

/** A module of this build. */
export const compileFilter = (name: host.FilterModule): WebAssembly.Module =>
  host.compileFilter(join(packageRoot, 'wasm-filter/build'), name)
