import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import protobuf from 'protobufjs'
import { BUNDLED_FILES, MISSING_FIELDS, MISSING_MESSAGES } from './overlay.ts'

const resolve = createRequire(import.meta.url).resolve
const bundled = join(dirname(resolve('@grpc/grpc-js-xds/package.json')), 'deps')
const INCLUDE_FOLDERS = [
  ...['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(bundled, name)),
  dirname(resolve('protobufjs/package.json')), // google/protobuf/descriptor.proto
]
const SPELLING = { keepCase: true } // resources are written as Envoy documents them, in snake_case

/** Envoy's messages, read once per process: the bundled protos and what `overlay.ts` adds to them. */
export const registry: protobuf.Root = loadRegistry()

function loadRegistry(): protobuf.Root {
  const root = new protobuf.Root()
  root.resolvePath = (_origin, target) =>
    INCLUDE_FOLDERS.map((folder) => join(folder, target)).find((path) => existsSync(path)) ?? target
  root.loadSync([...BUNDLED_FILES], SPELLING)
  for (const text of MISSING_MESSAGES) protobuf.parse(text, root, SPELLING)
  root.resolveAll()
  for (const missing of MISSING_FIELDS) {
    const field = new protobuf.Field(
      missing.name,
      missing.id,
      missing.type,
      'rule' in missing ? missing.rule : undefined,
    )
    root.lookupType(missing.message).add(field)
    field.resolve()
  }
  return root
}
