/** vitest's global set-up: builds what is stale and finds the binaries; a missing one fails the run. */
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { packageRoot } from '../../kit/root.ts'
import { buildIfStale } from '../../scripts/build.mjs'
import { createProgress } from '../../up/progress.ts'
import { findEnvoy, findRedisServer } from '../../up/tools/find-tools.ts'

const SETUP_DEADLINE_MS = 900_000

/** What the tests of a project need to be built; only e2e tests start processes from dist/, the others run sources. */
const BUILD_STEPS: Readonly<Record<string, readonly string[]>> = {
  integration: ['generate'],
  golden: ['generate', 'wasm'],
  e2e: ['generate', 'wasm', 'typescript'],
}

/** Sets MILLRACE_TEST_ENVOY and MILLRACE_TEST_REDIS. */
export async function setup(project: TestProject): Promise<void> {
  await buildIfStale(BUILD_STEPS[project.name])
  const context = {
    toolsDir: join(packageRoot, '.millrace'),
    environment: process.env,
    signal: AbortSignal.timeout(SETUP_DEADLINE_MS),
    progress: createProgress(process.stderr, process.env),
  }
  process.env['MILLRACE_TEST_ENVOY'] = await findEnvoy(context)
  process.env['MILLRACE_TEST_REDIS'] = await findRedisServer(context)
}
