import { parseConfig } from '../kit/config.ts'
import { runProcess } from '../kit/lifecycle.ts'
import { createLogger, type Logger } from '../kit/log.ts'
import { type ModelServerConfig, modelServerProcess } from './config.ts'
import { createJavascriptRuntime, javascriptNotEnabled } from './runtimes/javascript.ts'
import { createOnnxRuntime } from './runtimes/onnx.ts'
import type { Runtime } from './runtimes/runtime.ts'
import { startModelServer } from './server.ts'

export type RuntimesOf = (config: ModelServerConfig, log: Logger) => readonly Runtime[]

const standardRuntimes: RuntimesOf = (config, log) => [
  createOnnxRuntime({ workers: config.onnxWorkers, threadsPerInference: config.onnxThreads }),
  config.javascriptModels
    ? createJavascriptRuntime(
        {
          heapMb: config.javascriptHeapMb,
          inferenceMs: config.javascriptInferenceMs,
          loadMs: config.javascriptLoadMs,
        },
        log,
      )
    : javascriptNotEnabled,
]

/** The process `millrace model-server`; tests run it with runtimes of their own. */
export async function main(argv: readonly string[], runtimesOf: RuntimesOf = standardRuntimes): Promise<void> {
  const parsed = parseConfig(modelServerProcess, argv, process.env)
  if (parsed.kind === 'print') {
    process.stdout.write(parsed.text)
    return
  }
  const { config } = parsed
  const log = createLogger('model-server', config.logLevel)
  await runProcess(log, async (started) => {
    const runtimes = runtimesOf(config, log)
    for (const runtime of runtimes) started(`runtime ${runtime.platform}`, runtime)
    const server = await startModelServer(config, runtimes, log) // REST and gRPC onto one core; loads when told to
    started('server', server)
    log.info({ host: config.host, restPort: server.restPort, grpcPort: server.grpcPort }, 'listening')
  })
}
