/** The process `millrace mesh-metrics`. */
import { parseConfig } from '../kit/config.ts'
import { runProcess } from '../kit/lifecycle.ts'
import { createLogger } from '../kit/log.ts'
import { meshMetricsProcess } from './config.ts'
import { startMeasuring } from './measure/start.ts'
import { startMeshMetrics } from './server.ts'

export async function main(argv: readonly string[]): Promise<void> {
  const result = parseConfig(meshMetricsProcess, argv, process.env)
  if (result.kind === 'print') {
    process.stdout.write(result.text)
    return
  }
  const log = createLogger('mesh-metrics', result.config.logLevel)
  await runProcess(log, async (started) => {
    const http = await startMeshMetrics(result.config, log) // reads Envoy's admin port when it is scraped
    started('http', http)
    if (result.config.scheduler !== undefined)
      started('measuring', startMeasuring({ ...result.config, scheduler: result.config.scheduler }, log)) // feeds rollouts
    log.info({ httpPort: http.port, adminUrl: result.config.adminUrl }, 'mesh metrics are up')
  })
}
