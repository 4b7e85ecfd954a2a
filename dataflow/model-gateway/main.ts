/** The process `millrace model-gateway`. Read model-gateway.ts next: it is the list of what runs. */
import { parseConfig } from '../../kit/config.ts'
import { runProcess } from '../../kit/lifecycle.ts'
import { createLogger } from '../../kit/log.ts'
import { modelGatewayProcess } from './config.ts'
import { keepRequestsYoung } from '../process/young-requests.ts'
import { startModelGateway } from './model-gateway.ts'

const STOP_MARGIN_MS = 3_000

export async function main(argv: readonly string[]): Promise<void> {
  const result = parseConfig(modelGatewayProcess, argv, process.env)
  if (result.kind === 'print') {
    process.stdout.write(result.text)
    return
  }
  keepRequestsYoung()
  const { config } = result
  const log = createLogger('model-gateway', config.logLevel).child({ gateway: config.name })
  await runProcess(
    log,
    async (started) => {
      const { httpPort } = await startModelGateway(config, log, started)
      log.info({ httpPort, scheduler: config.scheduler, ingress: config.ingress }, 'model gateway is up')
    },
    2 * config.drainTimeoutMs + STOP_MARGIN_MS,
  )
}
