import { ServingError } from '../../kit/errors.ts'
import type { CommandEnd } from './command.ts'

const NO_NETWORK =
  /NewConnectionError|Failed to establish|Temporary failure in name resolution|Name or service not known|Connection refused|Network is unreachable|ConnectTimeout|ReadTimeout|timed out|ProxyError|SSLError|Connection aborted|Connection reset/i
const NO_WHEEL = /No matching distribution found|is not a supported wheel on this platform/i
const NO_SPACE = /No space left on device/i

/** One line out of pip's many: what failed, and what to do. */
export function explainPipFailure(
  tool: { readonly name: string; readonly instead: string },
  requirement: string,
  end: CommandEnd,
): ServingError {
  const subject = `${tool.name} (${requirement}) could not be fetched`
  if (end.kind === 'notFound')
    return new ServingError('TOOL_MISSING', `${subject}: Python is gone; install python3, or ${tool.instead}`)
  if (end.kind === 'killed')
    return new ServingError('DOWNLOAD_FAILED', `${subject}: ${end.reason}; start again, or ${tool.instead}`)
  if (NO_SPACE.test(end.output))
    return new ServingError('DOWNLOAD_FAILED', `${subject}: the disk is full; free some space, then start again`)
  // With no network pip ends with "no matching distribution" too: look for the cause first.
  if (NO_NETWORK.test(end.output))
    return new ServingError(
      'DOWNLOAD_FAILED',
      `${subject}: the package index cannot be reached; check the network (and PIP_INDEX_URL or the proxy), ` +
        `then start again, or ${tool.instead}`,
    )
  if (NO_WHEEL.test(end.output))
    return new ServingError(
      'TOOL_MISSING',
      `${subject}: there is no wheel for this machine (${process.platform} ${process.arch}); ${tool.instead}`,
    )
  return new ServingError(
    'DOWNLOAD_FAILED',
    `${subject}: ${lastErrorLine(end.output)}; start again, or ${tool.instead}`,
  )
}

function lastErrorLine(output: string): string {
  const lines = output.trim().split('\n')
  return (lines.findLast((line) => line.startsWith('ERROR:')) ?? lines.at(-1) ?? '').trim()
}
