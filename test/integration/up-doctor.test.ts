import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { Finding } from '../../up/doctor/finding.ts'
import { readRedisSettings } from '../../up/doctor/redis-settings.ts'
import { checkPorts, checkStateFolder } from '../../up/doctor/state.ts'
import { formatIdentity, identityOf } from '../../up/process-identity.ts'
import { type TestRedis, startRedis } from '../support/redis.ts'
import { runCli } from '../support/run-cli.ts'

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-doctor-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const byCheck = (json: string): ReadonlyMap<string, Finding> =>
  new Map((JSON.parse(json) as Finding[]).map((finding) => [finding.check, finding]))
const me = (): string => formatIdentity(identityOf(process.pid) ?? { pid: 0, startedAt: '' })

it('a machine without Python and tools: each with its fix, exit code 1', async () => {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, 'node'))
  const state = join(folder, 'state')
  const result = await runCli(['doctor', '-o', 'json', '--state-dir', state, '--tools-dir', state], {
    env: { PATH: bin, ENVOY_BIN: join(folder, 'no-envoy'), MLSERVER_BIN: join(folder, 'no-mlserver'), REDIS_URL: '' },
  })
  expect(result.code).toBe(1)
  const findings = byCheck(result.out)
  expect(findings.get('node')?.state).toBe('ok')
  expect(findings.get('python')).toMatchObject({ state: 'wrong', found: 'no python3 on the PATH' })
  expect(findings.get('python')?.fix).toContain('install Python')
  expect(findings.get('envoy')).toMatchObject({ state: 'wrong', found: expect.stringContaining('no-envoy') as string })
  expect(findings.get('redis-server')).toMatchObject({ state: 'wrong' })
  expect(findings.get('mlserver')).toMatchObject({ found: expect.stringContaining('no such file') as string })
  expect(findings.get('state folder')?.state).toBe('ok')
  expect(findings.get('millrace')?.state).toBe('skipped')
})

it('one line for each finding, for people', async () => {
  const result = await runCli(['doctor', '--state-dir', folder], {
    env: { ENVOY_BIN: process.env['MILLRACE_TEST_ENVOY'] ?? '', REDIS_URL: redis.url },
  })
  const lines = result.out.trim().split('\n')
  expect(lines[0]).toMatch(/^STATE +CHECK +FOUND$/)
  expect(lines.find((line) => line.includes(' envoy '))).toMatch(/^ok .*Envoy 1\.\d+\.\d+/)
  expect(lines.find((line) => line.includes('redis-server'))).toMatch(/^ok .*REDIS_URL names a Redis$/)
})

it('the state folder: used, left over, or not to be written', () => {
  expect(checkStateFolder(join(folder, 'none')).state).toBe('ok')
  mkdirSync(join(folder, 'run'))
  writeFileSync(join(folder, 'run', 'envoy-0.pid'), me())
  expect(checkStateFolder(folder)).toMatchObject({
    state: 'warning',
    found: expect.stringContaining('envoy-0') as string,
  })
  writeFileSync(join(folder, 'up.lock'), me())
  expect(checkStateFolder(folder)).toMatchObject({
    state: 'ok',
    found: expect.stringContaining(`process ${String(process.pid)}`) as string,
  })
})

it('a port that is taken is named with its holder and the fix, unless Millrace runs', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const uses = [{ port, use: 'ingress' }]
  const finding = await checkPorts(uses, '127.0.0.1', false)
  expect(finding.state).toBe('wrong')
  expect(finding.found).toContain(`${String(port)} (ingress`)
  expect(finding.fix).toContain('--port-offset')
  expect((await checkPorts(uses, '127.0.0.1', true)).state).toBe('skipped')
  await new Promise((resolve) => server.close(resolve))
  expect((await checkPorts(uses, '127.0.0.1', false)).state).toBe('ok')
})

it('what a Redis is set to is read from it, and one that is not there is said to be', async () => {
  expect(await readRedisSettings(redis.url)).toEqual({ policy: 'noeviction', appendOnly: 'yes', lastWriteOk: true })
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
  expect((await readRedisSettings(redis.url)).policy).toBe('allkeys-lru')
  await expect(readRedisSettings('redis://127.0.0.1:1')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
})

it('the space for a state folder that is not there yet is that of the folder above it', async () => {
  const result = await runCli(['doctor', '-o', 'json', '--state-dir', join(folder, 'a/b/c')])
  expect(byCheck(result.out).get('disk')?.found).toContain(`free at ${dirname(join(folder, 'x'))}`)
})
