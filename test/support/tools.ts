/** The binaries that meshes of tests and benches run, fetched when they are missing. */
import { join } from 'node:path'
import { packageRoot } from '../../kit/root.ts'
import { createProgress } from '../../up/progress.ts'
import { findEnvoy, findRedisServer, type ToolsContext } from '../../up/tools/find-tools.ts'
import { findKafka, type KafkaBinary } from '../../up/tools/kafka.ts'
import { findMlserver } from '../../up/tools/mlserver.ts'

/** For what may have to be fetched first. */
export const SETUP_DEADLINE_MS = 900_000

/** Sets MILLRACE_TEST_ENVOY and MILLRACE_TEST_REDIS. */
export async function setToolPaths(): Promise<void> {
  const context = toolsContext()
  process.env['MILLRACE_TEST_ENVOY'] = await findEnvoy(context)
  process.env['MILLRACE_TEST_REDIS'] = await findRedisServer(context)
}

/** The command `mlserver`: only the files that start one wait for its half gigabyte, once per machine. */
export const testMlserver = (): Promise<string> => findMlserver(toolsContext())

/** Kafka's jars and a Java: only the files that start a broker need them. */
export const testKafka = (): Promise<KafkaBinary> => findKafka(toolsContext())

const toolsContext = (): ToolsContext => ({
  toolsDir: join(packageRoot, '.millrace'),
  environment: process.env,
  signal: AbortSignal.timeout(SETUP_DEADLINE_MS),
  progress: createProgress(process.stderr, process.env),
})
