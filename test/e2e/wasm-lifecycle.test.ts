/** The filters over time: what they have counted, a new table while they serve, and a trap. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, writeFileSync, copyFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { afterEach, expect, it } from 'vitest'
import { packageRoot } from '../../kit/root.ts'
import type { SplitIr } from '../../xds/ir/types.ts'
import { toRouterConfig } from '../../xds/translate/extension-config.ts'
import { typeUrl } from '../../xds/translate/names.ts'
import { freePorts } from '../support/free-ports.ts'
import { field, frame } from '../support/grpc-frames.ts'
import { callRaw } from '../support/http2-call.ts'
import { startRecordingServer } from '../support/recording-server.ts'
import { startStaticEnvoy } from '../support/static-envoy.ts'
import { toStaticBootstrap, WASM_FOLDER } from '../support/wasm-bootstrap.ts'

const DEADLINE_MS = 20_000
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-wasm-'))
  closing.push(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

const targets = ['iris', 'wine'].map((target) => ({
  target,
  destinations: [{ endpointSetId: 'servers', internalName: `${target}_1`, routeToken: `:${target}_1:`, weight: 1 }],
  timeoutMs: 0,
}))

async function startScene(options: { readonly wasmFolder?: string; readonly routerTableFile?: string } = {}) {
  const server = await startRecordingServer()
  closing.push(server.stop)
  const [listenPort = 0, adminPort = 0] = await freePorts(2)
  const endpoint = {
    id: 'recorder/0',
    address: '127.0.0.1',
    restPort: server.restPort,
    grpcPort: server.grpcPort,
    health: 'healthy' as const,
  }
  const servers = { id: 'servers', nameSource: 'message' as const, endpoints: [endpoint] }
  const bootstrap = toStaticBootstrap({ listenPort, adminPort, servers, routes: targets, ...options })
  const envoy = await startStaticEnvoy(bootstrap, adminPort)
  closing.push(envoy.stop)
  const infer = async (model: string, headers: Record<string, string> = {}) => {
    const answer = await request(`http://127.0.0.1:${String(listenPort)}/v2/models/${model}/infer`, {
      method: 'POST',
      headers,
      body: '{}',
      signal: AbortSignal.timeout(5_000),
    })
    await answer.body.dump()
    return { status: answer.statusCode, route: answer.headers['x-seldon-route'] }
  }
  return { server, envoy, listenPort, infer }
}

/** Asks until it is so; nobody tells us when Envoy has taken something over. */
async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + DEADLINE_MS
  while (!(await isSo())) {
    if (Date.now() > giveUpAt) throw new Error(`waited ${String(DEADLINE_MS)} ms for ${what}`)
    await sleep(20)
  }
}

it('50 REST and 100 gRPC calls give exactly those counts', async () => {
  const { envoy, infer, listenPort, server } = await startScene()
  for (let i = 0; i < 50; i++) expect((await infer('iris')).status).toBe(200)
  const chunks = [frame(field(1, 'wine'))]
  for (let i = 0; i < 100; i++) expect((await callRaw({ port: listenPort, chunks })).grpcStatus).toBe('0')
  await infer('unknown')
  const counters = (kind: string) => `wasmcustom.millrace.${kind}`
  const rest = `127%2E0%2E0%2E1%3A${String(server.restPort)}.rest.200`
  const grpc = `127%2E0%2E0%2E1%3A${String(server.grpcPort)}.grpc.0`
  // A stream is logged when it is gone, which may be after its last byte has been read here.
  await eventually('the last call to be counted', async () => {
    const requests = await envoy.stats('millrace.requests')
    return [...requests.values()].reduce((sum, count) => sum + count, 0) >= 150
  })
  expect(await envoy.stats('millrace.requests')).toEqual(
    new Map([
      [`${counters('requests')}.iris.iris_1.${rest}`, 50],
      [`${counters('requests')}.wine.wine_1.${grpc}`, 100],
    ]),
  )
  const microseconds = await envoy.stats('millrace.microseconds')
  expect(microseconds.get(`${counters('microseconds')}.iris.iris_1.${rest}`)).toBeGreaterThan(50)
  expect(microseconds.get(`${counters('microseconds')}.wine.wine_1.${grpc}`)).toBeGreaterThan(100)
})

it('a new table is taken over while requests run, with none of them failing', async () => {
  const folder = temporaryFolder()
  const routerTableFile = join(folder, 'ecds.json')
  let version = 0
  const publish = (splits: readonly SplitIr[]) => {
    const router = toRouterConfig({ shards: 256, maxModels: 2_000, maxRequestBytes: 1e8 }, splits, WASM_FOLDER)
    const resource = { '@type': typeUrl('envoy.config.core.v3.TypedExtensionConfig'), ...router }
    writeFileSync(`${routerTableFile}.new`, JSON.stringify({ version_info: String(++version), resources: [resource] }))
    renameSync(`${routerTableFile}.new`, routerTableFile)
  }
  const split = (candidate: string): SplitIr[] => [
    { target: 'e.experiment', seed: 'e', candidates: [{ target: candidate, weight: 1 }] },
  ]
  publish(split('iris'))
  const { envoy, infer } = await startScene({ routerTableFile })
  const routeNow = async () => {
    const { status, route } = await infer('x', { 'seldon-model': 'e.experiment' })
    expect(status).toBe(200)
    return route
  }
  for (let round = 0; round < 20; round++) {
    const candidate = round % 2 === 0 ? 'iris' : 'wine'
    publish(split(candidate))
    await eventually(`table ${String(version)}`, async () => (await routeNow()) === `:${candidate}_1:`)
  }
  const reloads = await envoy.stats('router.vm_reload')
  expect([...reloads.values()]).toEqual([0, 0, 0, 0])
})

const TRAPPING_FILTER = `
@external("env", "proxy_get_header_map_value")
declare function getHeader(map: i32, key: usize, keySize: i32, outValue: usize, outSize: usize): i32
const out: usize = memory.data(8)
const arena: usize = memory.data(1024)
const key = String.UTF8.encode('x-trap')
export function proxy_abi_version_0_2_1(): void {}
export function proxy_on_memory_allocate(size: i32): usize { return arena }
export function proxy_on_request_headers(contextId: u32, headers: i32, endOfStream: i32): i32 {
  if (getHeader(0, changetype<usize>(key), 6, out, out + 4) == 0) unreachable()
  return 0
}
`

/** A folder of modules in which this one stands in the place of `router`. */
function folderWithRouter(source: string): string {
  const folder = temporaryFolder()
  for (const name of ['rename-rest', 'rename-grpc'])
    copyFileSync(join(WASM_FOLDER, `${name}.wasm`), join(folder, `${name}.wasm`))
  writeFileSync(join(folder, 'router.ts'), source)
  const asc = join(packageRoot, 'node_modules/.bin/asc')
  execFileSync(asc, ['router.ts', '--runtime', 'minimal', '--use', 'abort=', '-o', 'router.wasm'], { cwd: folder })
  return folder
}

it('Envoy recovers by itself from a module that traps', async () => {
  const { envoy, infer } = await startScene({ wasmFolder: folderWithRouter(TRAPPING_FILTER) })
  const unrouted = 404 // this module names no target, so no scope matches
  expect((await infer('iris')).status).toBe(unrouted)
  for (let trap = 1; trap <= 3; trap++) {
    expect((await infer('iris', { 'x-trap': '1' })).status).toBeGreaterThanOrEqual(500)
    await eventually('a new VM', async () => (await infer('iris')).status === unrouted)
    expect((await envoy.stats('router.vm_reload_success')).get('wasm.router.vm_reload_success')).toBe(trap)
  }
  expect(envoy.alive).toBe(true)
})
