/**
 * Kafka's own jars, copied by Maven from where the user's Maven fetches everything, into `<tools>/tools/kafka-<version>/`.
 * The folder appears by one rename when it is whole, with the pom that made it: a new pom leads to a new copy.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import { waitForLock } from '../lock.ts'
import { type CommandEnd, runCommand } from './command.ts'
import type { ToolsContext } from './find-tools.ts'
import { folderBytes } from './folder-bytes.ts'
import { findJava } from './java.ts'

export const KAFKA_VERSION = '4.1.1'
const POM = join(packageRoot, 'up/tools/kafka-pom.xml')
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
const LOCK_DEADLINE_MS = 900_000
const FETCH_TIMEOUT_MS = 600_000
const MEASURE_EVERY_MS = 1_000

const tool = {
  name: `Kafka ${KAFKA_VERSION}`,
  instead: 'set KAFKA_BOOTSTRAP_SERVERS to a Kafka of your own',
}

/** What a broker is started with. */
export interface KafkaBinary {
  readonly java: string
  /** Folder of all jars. */
  readonly jars: string
}

/** @throws ServingError TOOL_MISSING, DOWNLOAD_FAILED */
export async function findKafka(context: ToolsContext): Promise<KafkaBinary> {
  const java = await findJava(tool, context)
  const jars = fetchedKafka(context.toolsDir)
  if (jars !== undefined) return { java, jars }
  return context.progress.step(`fetching ${tool.name}`, async (note) => {
    const lock = await waitForLock(join(context.toolsDir, 'kafka.lock'), {
      deadlineMs: LOCK_DEADLINE_MS,
      signal: context.signal,
      onWait: (pid) => {
        note(`process ${String(pid ?? '?')} is fetching it, waiting`)
      },
    })
    try {
      // Whoever held the lock may have fetched it.
      return { java, jars: fetchedKafka(context.toolsDir) ?? (await fetchKafka(context, note)) }
    } finally {
      lock.release()
    }
  })
}

const folderOf = (toolsDir: string): string => join(toolsDir, 'tools', `kafka-${KAFKA_VERSION}`)

/** The jars that an earlier start fetched, if they are today's. Touches no network. */
export function fetchedKafka(toolsDir: string): string | undefined {
  const folder = folderOf(toolsDir)
  const pom = join(folder, 'pom.xml')
  if (!existsSync(pom) || readFileSync(pom, 'utf8') !== readFileSync(POM, 'utf8')) return undefined
  return join(folder, 'jars')
}

async function fetchKafka(context: ToolsContext, note: (text: string) => void): Promise<string> {
  const folder = folderOf(context.toolsDir)
  const partial = `${folder}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  copyFileSync(POM, join(partial, 'pom.xml'))
  const measure = setInterval(() => {
    note(`${(folderBytes(partial) / 1e6).toFixed(0)} MB`)
  }, MEASURE_EVERY_MS)
  try {
    const args = ['--batch-mode', '--quiet', '--file', join(partial, 'pom.xml'), COPY, '-DincludeScope=runtime']
    const end = await runCommand('mvn', [...args, `-DoutputDirectory=${join(partial, 'jars')}`], {
      timeoutMs: FETCH_TIMEOUT_MS,
      environment: context.environment,
      signal: context.signal,
    })
    if (context.signal.aborted) throw new ServingError('CANCELLED', `stopped while fetching ${tool.name}`)
    if (end.kind !== 'exited' || end.status !== 0) throw explainMavenFailure(end)
    rmSync(folder, { recursive: true, force: true })
    renameSync(partial, folder)
    return join(folder, 'jars')
  } finally {
    clearInterval(measure)
    rmSync(partial, { recursive: true, force: true })
  }
}

const NO_NETWORK =
  /UnknownHostException|Unknown host|Connection refused|timed out|Network is unreachable|transfer artifact|PKIX|proxy/i
const NO_SPACE = /No space left on device/i

/** One line out of Maven's many: what failed, and what to do. */
export function explainMavenFailure(end: CommandEnd): ServingError {
  const subject = `${tool.name} could not be fetched`
  if (end.kind === 'notFound')
    return new ServingError(
      'TOOL_MISSING',
      `${subject}: there is no mvn on the PATH; install Maven 3.6 or later (on Debian and Ubuntu the package maven), or ${tool.instead}`,
    )
  if (end.kind === 'killed')
    return new ServingError('DOWNLOAD_FAILED', `${subject}: ${end.reason}; start again, or ${tool.instead}`)
  if (NO_SPACE.test(end.output))
    return new ServingError('DOWNLOAD_FAILED', `${subject}: the disk is full; free some space, then start again`)
  if (NO_NETWORK.test(end.output))
    return new ServingError(
      'DOWNLOAD_FAILED',
      `${subject}: Maven's repository cannot be reached; check the network (and Maven's settings.xml or the proxy), ` +
        `then start again, or ${tool.instead}`,
    )
  const line = end.output.split('\n').find((text) => text.includes('[ERROR]')) ?? ''
  return new ServingError('DOWNLOAD_FAILED', `${subject}: ${line.trim()}; repair Maven, or ${tool.instead}`)
}
