import { toServingError } from './errors.ts'
import type { Logger } from './log.ts'

/** Something that runs until it is stopped. `stop` must be safe to call twice. */
export interface Running {
  stop(): Promise<void>
}

const STOP_DEADLINE_MS = 10_000

/**
 * Runs one process: `start` registers what it starts; on SIGTERM or SIGINT everything is stopped in reverse order
 * within a deadline (10 s, or what a process that drains needs). Exit code 0 after a clean stop, 1 when starting failed or stopping took too long.
 */
export async function runProcess(
  log: Logger,
  start: (started: (name: string, running: Running) => void) => Promise<void>,
  stopDeadlineMs = STOP_DEADLINE_MS,
): Promise<void> {
  const stack: { name: string; running: Running }[] = []
  let stopping = false
  const stopAll = async (code: number): Promise<void> => {
    if (stopping) return
    stopping = true
    const deadline = setTimeout(() => {
      log.error({ waitingFor: stack.map((entry) => entry.name) }, 'stop deadline passed')
      process.exit(1)
    }, stopDeadlineMs)
    deadline.unref()
    for (let entry = stack.pop(); entry; entry = stack.pop()) {
      try {
        await entry.running.stop()
      } catch (error) {
        log.error({ part: entry.name, error: toServingError(error).message }, 'part did not stop cleanly')
        code = 1
      }
    }
    log.info({}, 'stopped')
    process.exit(code)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log.info({ signal }, 'stopping')
      void stopAll(0)
    })
  }
  try {
    await start((name, running) => {
      stack.push({ name, running })
    })
    log.info({}, 'started')
  } catch (error) {
    const failure = toServingError(error)
    log.error({ code: failure.code, error: failure.message }, 'start failed')
    await stopAll(1)
  }
}
