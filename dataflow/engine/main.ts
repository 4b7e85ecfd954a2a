/** The process `millrace engine`. Read engine.ts next: it is the list of what runs. */
import { parseConfig } from '../../kit/config.ts'
import { runProcess } from '../../kit/lifecycle.ts'
import { createLogger } from '../../kit/log.ts'
import { engineProcess } from './config.ts'
import { keepRequestsYoung } from '../process/young-requests.ts'
import { startEngine } from './engine.ts'

const STOP_MARGIN_MS = 3_000

export async function main(argv: readonly string[]): Promise<void> {
  const result = parseConfig(engineProcess, argv, process.env)
  if (result.kind === 'print') {
    process.stdout.write(result.text)
    return
  }
  keepRequestsYoung()
  const { config } = result
  const log = createLogger('engine', config.logLevel).child({ engine: config.name })
  await runProcess(
    log,
    async (started) => {
      const ports = await startEngine(config, log, started)
      log.info({ ...ports, scheduler: config.scheduler, ingress: config.ingress }, 'engine is up')
    },
    2 * config.drainTimeoutMs + STOP_MARGIN_MS,
  )
}
