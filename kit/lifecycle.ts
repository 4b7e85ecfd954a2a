import { toServingError } from './errors.ts'
import type { Logger } from './log.ts'

/** Something that runs until it is stopped. `stop` must be safe to call twice. */
export interface Running {
  stop(): Promise<void>
}

/** Takes what was started and is to be stopped, in reverse order. */
export type Started = (name: string, running: Running) => void

const STOP_DEADLINE_MS = 10_000

/**
 * Runs one process: `start` registers what it starts; on SIGTERM or SIGINT everything is stopped in reverse order
 * within a deadline (10 s, or what a process that drains needs). Exit code 0 after a clean stop, 1 when starting failed or stopping took too long.
 */
export async function runProcess(
  log: Logger,
  start: (started: Started) => Promise<void>,
  stopDeadlineMs = STOP_DEADLINE_MS,
): Promise<void> {
  const stack: { name: string; running: Running }[] = []
  let stopping = false
  const stopAll = async (code: number): Promise<void> => {
    if (stopping) return
    stopping = true
    let current = ''
    const deadline = setTimeout(() => {
      log.error({ waitingFor: [current, ...stack.map((entry) => entry.name).reverse()] }, 'stop deadline passed')
      process.exit(1)
    }, stopDeadlineMs)
    deadline.unref()
    for (let entry = stack.pop(); entry; entry = stack.pop()) {
      current = entry.name
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
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      const stack = error instanceof Error ? error.stack : String(error)
      log.error({ code: 'INVARIANT_BROKEN', error: stack }, 'uncaught error')
      void stopAll(1)
    })
  }
  try {
    await start((name, running) => {
      stack.push({ name, running })
    })
    if (!stopping) log.info({}, 'started')
  } catch (error) {
    const failure = toServingError(error)
    log.error({ code: failure.code, error: failure.message }, 'start failed')
    await stopAll(1)
  }
}
