/** The process `millrace pipeline-gateway`. Read pipeline-gateway.ts next: it is the list of what runs. */
import { parseConfig } from '../../kit/config.ts'
import { runProcess } from '../../kit/lifecycle.ts'
import { createLogger } from '../../kit/log.ts'
import { pipelineGatewayProcess } from './config.ts'
import { keepRequestsYoung } from '../process/young-requests.ts'
import { startPipelineGateway } from './pipeline-gateway.ts'

const STOP_MARGIN_MS = 3_000

export async function main(argv: readonly string[]): Promise<void> {
  const result = parseConfig(pipelineGatewayProcess, argv, process.env)
  if (result.kind === 'print') {
    process.stdout.write(result.text)
    return
  }
  keepRequestsYoung()
  const { config } = result
  const log = createLogger('pipeline-gateway', config.logLevel).child({ gateway: config.name })
  await runProcess(
    log,
    async (started) => {
      const ports = await startPipelineGateway(config, log, started)
      log.info({ ...ports, scheduler: config.scheduler, ingress: config.ingress }, 'pipeline gateway is up')
    },
    2 * config.drainTimeoutMs + STOP_MARGIN_MS,
  )
}
