import { parseConfig } from '../kit/config.ts'
import { toServingError } from '../kit/errors.ts'
import { upDefinition } from './config.ts'
import { everyMs } from '../kit/backoff.ts'
import { createProgress } from './progress.ts'
import { runUp } from './run.ts'

const LOOK_FOR_PARENT_MS = 500

/** `millrace up`: the exit status is 0 after an orderly stop, 1 when something failed, 2 on wrong usage. */
export async function main(argv: readonly string[]): Promise<void> {
  const parsed = parseConfig(upDefinition, argv, process.env)
  if (parsed.kind === 'print') {
    process.stdout.write(parsed.text)
    return
  }
  const progress = createProgress(process.stderr, process.env)
  const { stop, kill } = stopSignals()
  try {
    await runUp(parsed.config, {
      progress,
      environment: process.env,
      stop,
      kill,
      print: (text) => process.stdout.write(`${text}\n`),
    })
  } catch (error) {
    const failure = toServingError(error)
    progress.line(`${failure.code}: ${failure.message}`)
    process.exitCode = failure.code === 'CONFIG_INVALID' ? 2 : 1
  }
  // An open handle must not keep a finished command alive.
  process.exit()
}

/** The first SIGINT, SIGTERM or SIGHUP asks for an orderly stop; a second one is impatient. */
function stopSignals(): { stop: AbortSignal; kill: AbortSignal } {
  const stop = new AbortController()
  const kill = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) kill.abort()
      stop.abort()
    })
  }
  // Under `npm start` a killed npm must not leave us behind.
  if (process.env['npm_lifecycle_event'] !== undefined) {
    const parent = process.ppid
    void everyMs(LOOK_FOR_PARENT_MS, stop.signal, () => {
      if (process.ppid !== parent) stop.abort()
    })
  }
  // Whoever read our lines may be gone; that is no reason to stop.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  return { stop: stop.signal, kill: kill.signal }
}
