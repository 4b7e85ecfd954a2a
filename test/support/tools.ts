/** The binaries that meshes of tests and benches run, fetched when they are missing. */
import { join } from 'node:path'
import { packageRoot } from '../../kit/root.ts'
import { createProgress } from '../../up/progress.ts'
import { findEnvoy, findRedisServer } from '../../up/tools/find-tools.ts'

const SETUP_DEADLINE_MS = 900_000

/** Sets MILLRACE_TEST_ENVOY and MILLRACE_TEST_REDIS. */
export async function setToolPaths(): Promise<void> {
  const context = {
    toolsDir: join(packageRoot, '.millrace'),
    environment: process.env,
    signal: AbortSignal.timeout(SETUP_DEADLINE_MS),
    progress: createProgress(process.stderr, process.env),
  }
  process.env['MILLRACE_TEST_ENVOY'] = await findEnvoy(context)
  process.env['MILLRACE_TEST_REDIS'] = await findRedisServer(context)
}
