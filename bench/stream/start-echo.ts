import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import type { EchoOptions } from './echo.ts'

/** Resolves when it reads; to be called when it shall end. */
export async function startEcho(options: EchoOptions): Promise<() => Promise<void>> {
  mkdirSync(options.folder, { recursive: true })
  const script = join(packageRoot, 'bench/stream/echo.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const isReady = await Promise.race([once(child.stdout, 'data').then(() => true), exited.then(() => false)])
  if (!isReady) throw new ServingError('PROCESS_FAILED', 'the process that echoes records did not start')
  return async () => {
    child.stdin.end()
    await exited
  }
}
