import { ServingError } from '../../kit/errors.ts'
import { runCommand } from './command.ts'
import type { ToolsContext } from './find-tools.ts'

/** MLServer 1.7.1 wants less than 3.13, the pinned scikit-learn at least 3.11. */
const SUITABLE: readonly string[] = ['3.11', '3.12']
const CANDIDATES = ['python3', ...SUITABLE.toReversed().map((version) => `python${version}`), 'python']
const PRINT_VERSION = 'import sys; print("%d.%d" % sys.version_info[:2])'
const PROBE_TIMEOUT_MS = 20_000

/** A Python that can run MLServer. @throws ServingError TOOL_MISSING saying which there are instead */
export async function findMlserverPython(
  tool: { readonly name: string; readonly instead: string },
  { environment, signal }: ToolsContext,
): Promise<string> {
  const found: string[] = []
  for (const command of CANDIDATES) {
    const end = await runCommand(command, ['-c', PRINT_VERSION], { timeoutMs: PROBE_TIMEOUT_MS, environment, signal })
    if (end.kind !== 'exited' || end.status !== 0) continue
    const version = end.output.trim()
    if (SUITABLE.includes(version)) return command
    found.push(`${command} is ${version}`)
  }
  throw new ServingError(
    'TOOL_MISSING',
    `${tool.name} runs on Python ${SUITABLE.join(' or ')}, and ` +
      (found.length === 0 ? 'there is no python3 on the PATH' : `on the PATH ${found.join(', ')}`) +
      `: install one of them beside it, or ${tool.instead}`,
  )
}
