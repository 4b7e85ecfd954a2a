import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../kit/root.ts'

/** File -> imports that the linter must refuse there. `Date.now` stands for the clock. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  'kit/x.ts': ['../api/grpc.ts', '../scheduler/main.ts'],
  'api/x.ts': ['../cli/main.ts', '../xds/index.ts'],
  'api/resources/x.ts': ['../../scheduler/domain/names.ts'],
  'xds/x.ts': ['../kit/log.ts', '../scheduler/domain/names.ts'],
  'xds/server/x.ts': ['../../kit/log.ts', '../../api/grpc.ts'],
  'xds/ir/x.ts': ['../translate/route.ts', '../../kit/errors.ts', 'node:fs', 'Date.now'],
  'xds/translate/x.ts': ['../server/ads.ts', '../cache/cache.ts', '@grpc/grpc-js', 'Date.now'],
  'scheduler/x.ts': ['../agent/main.ts', '../xds/cache/x.ts', '../cli/main.ts'],
  'scheduler/domain/x.ts': [
    '../placement/x.ts',
    '../store/redis.ts',
    '../../api/grpc.ts',
    '../../api/resources/resource.ts',
    '../../api/resources/model.ts',
    '../../api/resources/status.ts',
    '../../api/resources/check.ts',
    '../../kit/log.ts',
    '../../xds/index.ts',
    'ioredis',
    'node:crypto',
    'Date.now',
  ],
  'scheduler/placement/x.ts': ['../routing/x.ts', '../../xds/index.ts', '../../kit/backoff.ts', 'pino', 'Date.now'],
  'scheduler/placement/filters/x.ts': ['../../store/redis.ts', '../../../api/grpc.ts'],
  'scheduler/routing/x.ts': ['../placement/x.ts', '../../xds/ir/types.ts', '../../api/grpc.ts', 'bullmq', 'Date.now'],
  'scheduler/store/x.ts': ['../placement/x.ts', '../loop/x.ts', '../../xds/index.ts'],
  'scheduler/jobs/x.ts': ['../store/redis.ts', '../../xds/index.ts'],
  'scheduler/grpc/x.ts': ['../store/redis.ts', '../placement/x.ts', '../../xds/index.ts'],
  'scheduler/agents/x.ts': ['../store/redis.ts', '../../agent/main.ts'],
  'scheduler/admin/x.ts': ['../store/redis.ts', '../placement/x.ts', '../../xds/index.ts'],
  'scheduler/domain/pipeline/x.ts': ['../../../api/resources/metadata.ts', '../../loop/writer.ts'],
  'scheduler/operations/x.ts': ['../store/redis.ts', '../placement/x.ts'],
  'agent/x.ts': ['../scheduler/main.ts', '../model-server/main.ts', '../xds/index.ts'],
  'model-server/x.ts': ['../agent/main.ts'],
  'mesh/x.ts': ['../agent/main.ts'],
  'dataflow/x.ts': ['../scheduler/main.ts', '../up/main.ts', '../cli/main.ts'],
  'envoy/x.ts': ['../up/main.ts'],
  'cli/x.ts': ['../up/main.ts', '../scheduler/domain/names.ts'],
  'up/x.ts': ['../scheduler/main.ts', '../agent/main.ts', '../xds/index.ts'],
  'bin/x.ts': ['../scheduler/config.ts', '../cli/client/admin-client.ts'],
}
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'kit/y.ts': ['./errors.ts', 'node:fs'],
  'api/y.ts': ['../kit/errors.ts', './generated/x.ts'],
  'xds/y.ts': ['./ir/types.ts', '@grpc/grpc-js'],
  'xds/translate/y.ts': ['../ir/types.ts', '../proto/encode.ts'],
  'scheduler/y.ts': ['./domain/names.ts', '../xds/index.ts', '../kit/log.ts', '../api/grpc.ts'],
  'scheduler/domain/y.ts': [
    './names.ts',
    '../../kit/errors.ts',
    '../../api/resources/rules.ts',
    '../../api/resources/pipeline.ts',
    '../../api/resources/experiment.ts',
  ],
  'scheduler/placement/filters/y.ts': ['../../domain/names.ts', '../types.ts'],
  'scheduler/routing/y.ts': ['../domain/names.ts', '../../xds/index.ts'],
  'scheduler/store/y.ts': ['../domain/store.ts', '../../kit/backoff.ts', 'ioredis'],
  'scheduler/jobs/y.ts': ['../store/connection.ts', '../loop/reconciler.ts', 'bullmq'],
  'scheduler/grpc/y.ts': ['../domain/names.ts', '../loop/x.ts', '../../api/grpc.ts'],
  'agent/y.ts': ['../api/grpc.ts', '../kit/log.ts', './config.ts'],
  'cli/commands/y.ts': ['../client/admin-client.ts', '../../api/grpc.ts'],
  'dataflow/journal/y.ts': ['../../api/grpc.ts', '../../kit/log.ts', '../kafka/client.ts'],
  'up/y.ts': ['../cli/client/admin-client.ts', '../envoy/bootstrap.ts'],
  'bin/y.ts': ['../scheduler/main.ts', '../kit/root.ts'],
  'test/y.ts': ['../scheduler/store/redis.ts'],
  'bench/y.ts': ['../agent/main.ts'],
}

let folder: string
let report: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-lint-'))
  cpSync(join(packageRoot, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))
  for (const [file, imports] of [...Object.entries(REFUSED), ...Object.entries(ALLOWED)]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), `${imports.map(lineOf).join('\n')}\n`)
  }
  const oxlint = join(packageRoot, 'node_modules/.bin/oxlint')
  report = spawnSync(oxlint, ['--format', 'unix'], { cwd: folder, encoding: 'utf8', timeout: 100_000 }).stdout
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const lineOf = (wanted: string): string =>
  wanted === 'Date.now' ? 'export const now = Date.now()' : `export * from '${wanted}'`
const isRefused = (file: string, line: number): boolean =>
  report.split('\n').some((entry) => entry.startsWith(`${file}:${String(line)}:`) && entry.includes('no-restricted-'))

describe('import directions', () => {
  it.each(cases(REFUSED))('refuses in %s: %s', (file, _wanted, line) => {
    expect(isRefused(file, line)).toBe(true)
  })

  it.each(cases(ALLOWED))('allows in %s: %s', (file, _wanted, line) => {
    expect(isRefused(file, line)).toBe(false)
  })
})

function cases(table: Readonly<Record<string, readonly string[]>>): readonly (readonly [string, string, number])[] {
  return Object.entries(table).flatMap(([file, imports]) =>
    imports.map((wanted, index) => [file, wanted, index + 1] as const),
  )
}
