/** The process `millrace scheduler`. Read scheduler.ts next: it is the list of what runs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig } from '../kit/config.ts'
import { runProcess } from '../kit/lifecycle.ts'
import { createLogger } from '../kit/log.ts'
import { packageRoot } from '../kit/root.ts'
import { schedulerProcess } from './config.ts'
import { startScheduler } from './scheduler.ts'

export async function main(argv: readonly string[]): Promise<void> {
  const result = parseConfig(schedulerProcess, argv, process.env)
  if (result.kind === 'print') {
    process.stdout.write(result.text)
    return
  }
  const { config } = result
  const log = createLogger('scheduler', config.logLevel)
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  await runProcess(log, async (started) => {
    const onFatal = (error: Error): void => {
      queueMicrotask(() => {
        throw error // ends the process in order, with exit code 1
      })
    }
    const ports = await startScheduler({ config, version, log, now: Date.now, started, onFatal })
    log.info(ports, 'scheduler is up')
  })
}
