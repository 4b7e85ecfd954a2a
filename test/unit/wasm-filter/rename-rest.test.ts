import { expect, it } from 'vitest'
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost, type Header } from '../../../wasm-filter/host/proxy-host.ts'
import { runStream, valueOf } from '../../../wasm-filter/host/stream.ts'

const host = new ProxyHost(compileFilter('rename-rest'))

function pathAfter(path: string, internal?: string): string | undefined {
  const named: Header[] = internal === undefined ? [] : [['seldon-internal-model', internal]]
  return valueOf(runStream(host, { headers: [[':method', 'POST'], [':path', path], ...named] }).headers, ':path')
}

it.each([
  ['/v2/models/iris/infer', '/v2/models/iris_3/infer'],
  ['/v2/models/iris/versions/1/infer', '/v2/models/iris_3/infer'],
  ['/v2/models/iris', '/v2/models/iris_3'],
  ['/v2/models/iris/versions/1', '/v2/models/iris_3'],
  ['/v2/models/iris/ready', '/v2/models/iris_3/ready'],
  ['/v2/models/%69ris/infer?a=/v2/models/x/infer', '/v2/models/iris_3/infer?a=/v2/models/x/infer'],
  ['/v2/models/iris?x=1', '/v2/models/iris_3?x=1'],
  ['/v2/pipelines/p/infer', '/v2/models/iris_3/infer'],
  ['/v2/models/iris_3/infer', '/v2/models/iris_3/infer'],
  [`/v2/models/iris/infer?${'q'.repeat(20_000)}`, `/v2/models/iris_3/infer?${'q'.repeat(20_000)}`],
])('%s goes to the server as %s', (path, expected) => {
  expect(pathAfter(path, 'iris_3')).toBe(expected)
})

it.each([
  ['/v2/health/ready', 'iris_3'],
  ['/v2/models/iris/infer', undefined],
  ['/v2/models/iris/infer', '../x'],
  ['/v2/models/iris/infer', 'a'.repeat(200)],
])('%s stays as it is for the internal name %s', (path, internal) => {
  expect(pathAfter(path, internal)).toBe(path)
})
