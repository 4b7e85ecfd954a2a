/** A Java that can run Kafka 4, and Maven, which fetches it. */
import { join } from 'node:path'
import { ServingError } from '../../kit/errors.ts'
import { type CommandEnd, runCommand } from './command.ts'

export const OLDEST_JAVA = 17
const PROBE_TIMEOUT_MS = 20_000

interface ProbeContext {
  readonly environment: NodeJS.ProcessEnv
  readonly signal?: AbortSignal
}

/** What a look at a command found. */
export type JavaFound =
  | { readonly kind: 'ok'; readonly command: string; readonly version: number }
  | { readonly kind: 'old'; readonly command: string; readonly version: number }
  | { readonly kind: 'missing' }

/** Reads `java -version`: `openjdk version "17.0.15"`, or `java version "1.8.0_402"` of the old scheme. */
export function parseJavaVersion(text: string): number | undefined {
  const match = /version "(?:1\.)?(?<major>\d+)/.exec(text)?.groups?.['major']
  return match === undefined ? undefined : Number(match)
}

/** JAVA_HOME's, else the one on the PATH; never throws. */
export async function probeJava({ environment, signal }: ProbeContext): Promise<JavaFound> {
  const home = environment['JAVA_HOME'] ?? ''
  let old: JavaFound | undefined
  for (const command of home === '' ? ['java'] : [join(home, 'bin/java'), 'java']) {
    const end = await runCommand(command, ['-version'], { timeoutMs: PROBE_TIMEOUT_MS, environment, signal })
    const version = end.kind === 'exited' && end.status === 0 ? parseJavaVersion(end.output) : undefined
    if (version === undefined) continue
    if (version >= OLDEST_JAVA) return { kind: 'ok', command, version }
    old ??= { kind: 'old', command, version }
  }
  return old ?? { kind: 'missing' }
}

/** @throws ServingError TOOL_MISSING saying what there is instead */
export async function findJava(tool: { readonly name: string; readonly instead: string }, context: ProbeContext) {
  const found = await probeJava(context)
  if (found.kind === 'ok') return found.command
  const there = found.kind === 'old' ? `${found.command} is Java ${String(found.version)}` : 'there is no java'
  throw new ServingError(
    'TOOL_MISSING',
    `${tool.name} runs on Java ${String(OLDEST_JAVA)} or later, and ${there} (JAVA_HOME and the PATH were looked at): ` +
      `install a JDK (on Debian and Ubuntu openjdk-17-jdk-headless), or ${tool.instead}`,
  )
}

export const probeMaven = ({ environment, signal }: ProbeContext): Promise<CommandEnd> =>
  runCommand('mvn', ['--version'], { timeoutMs: PROBE_TIMEOUT_MS, environment, signal })
