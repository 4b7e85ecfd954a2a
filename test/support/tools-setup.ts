/** vitest's global set-up: builds what is stale and finds the binaries; a missing one fails the run. */
import type { TestProject } from 'vitest/node'
import { buildIfStale } from '../../scripts/build.mjs'
import { setToolPaths } from './tools.ts'

/** What the tests of a project need to be built: the processes that they start come from dist/, they themselves run sources. */
const BUILD_STEPS: Readonly<Record<string, readonly string[]>> = {
  integration: ['generate', 'typescript'],
  golden: ['generate', 'wasm'],
  e2e: ['generate', 'wasm', 'typescript'],
}

/** Sets MILLRACE_TEST_ENVOY and MILLRACE_TEST_REDIS. */
export async function setup(project: TestProject): Promise<void> {
  await buildIfStale(BUILD_STEPS[project.name])
  await setToolPaths()
}
