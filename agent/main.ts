/** The process `millrace agent`. Read agent.ts next: it is the list of what runs. */
import { parseConfig } from '../kit/config.ts'
import { runProcess } from '../kit/lifecycle.ts'
import { createLogger } from '../kit/log.ts'
import { startAgent } from './agent.ts'
import { agentProcess } from './config.ts'

const STOP_MARGIN_MS = 3_000

export async function main(argv: readonly string[]): Promise<void> {
  const result = parseConfig(agentProcess, argv, process.env)
  if (result.kind === 'print') {
    process.stdout.write(result.text)
    return
  }
  const { config } = result
  const log = createLogger('agent', config.logLevel).child({ server: config.serverName, replica: config.replicaIndex })
  await runProcess(
    log,
    async (started) => {
      const { httpPort } = await startAgent(config, log, started)
      log.info({ httpPort, scheduler: config.scheduler, repository: config.repository }, 'agent is up')
    },
    config.drainDeadlineMs + config.proxyDrainDeadlineMs + STOP_MARGIN_MS,
  )
}
