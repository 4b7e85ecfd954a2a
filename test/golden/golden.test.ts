import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toBootstrap } from '../../envoy/bootstrap.ts'
import { packageRoot } from '../../kit/root.ts'
import { KINDS, TYPE_NAMES } from '../../xds/cache/resource.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { encode } from '../../xds/proto/encode.ts'
import {
  caseNames,
  GOLDEN_FILES,
  GOLDEN_FOLDER,
  goldenFile,
  readCase,
  TLS_FOLDER,
  toGoldenText,
  translate,
  WASM_FOLDER,
} from './cases.ts'
import { toStaticBootstrap } from './static-bootstrap.ts'

const VALIDATE_DEADLINE_MS = 30_000

let folder: string
let certificates: Certificates
beforeAll(() => {
  certificates = makeCertificates()
  folder = mkdtempSync(join(tmpdir(), 'millrace-golden-'))
})
afterAll(() => {
  certificates.remove()
  rmSync(folder, { recursive: true })
})

/** What Envoy says of a bootstrap; empty when it is valid. */
function validate(name: string, bootstrap: object): string {
  const envoy = process.env['MILLRACE_TEST_ENVOY']
  if (envoy === undefined)
    throw new Error('MILLRACE_TEST_ENVOY is not set: run `npm test`, which finds or fetches Envoy')
  const path = join(folder, `${name}.json`)
  const text = JSON.stringify(bootstrap)
    .replaceAll(`"${WASM_FOLDER}/`, `"${join(packageRoot, 'wasm-filter/build')}/`)
    .replaceAll(`"${TLS_FOLDER}/`, `"${certificates.folder}/`)
  writeFileSync(path, text)
  const options = ['--mode', 'validate', '--config-path', path, '--log-level', 'error', '--disable-hot-restart']
  const result = spawnSync(envoy, options, { encoding: 'utf8', timeout: VALIDATE_DEADLINE_MS })
  return result.status === 0 ? '' : `${String(result.error ?? '')}${result.stdout}${result.stderr}`
}

describe.each(caseNames())('%s', (name) => {
  const golden = readCase(name)
  const resources = translate(golden)

  it.each(KINDS)('its %s are as in the golden file (npm run golden rewrites it)', (kind) => {
    const expected = readFileSync(join(GOLDEN_FOLDER, name, goldenFile(kind)), 'utf8')
    expect(toGoldenText(resources[kind])).toBe(expected)
  })

  it('every field of its resources exists in Envoy', () => {
    for (const kind of KINDS)
      for (const resource of resources[kind]) expect(encode(TYPE_NAMES[kind], resource).length).toBeGreaterThan(0)
  })

  it('Envoy accepts it', () => {
    expect(validate(name, toStaticBootstrap(resources))).toBe('')
  })

  it('has no file that nothing accounts for', () => {
    expect(readdirSync(join(GOLDEN_FOLDER, name)).filter((file) => !GOLDEN_FILES.has(file))).toEqual([])
  })
})

it('Envoy accepts the bootstrap', () => {
  const bootstrap = toBootstrap({ nodeId: 'envoy-0', xds: [{ address: '127.0.0.1', port: 9002 }], adminPort: 9901 })
  expect(validate('bootstrap', bootstrap)).toBe('')
})

it('Envoy refuses a case that is wrong, so the ones above can fail', () => {
  const [name = ''] = caseNames()
  const resources = translate(readCase(name))
  const wrong = { ...resources, LDS: resources.LDS.map((listener) => ({ ...listener, address: {} })) }
  expect(validate('wrong', toStaticBootstrap(wrong))).not.toBe('')
})
