/**
 * One loaded JavaScript model: a thread that answers one call after the other, and a new thread when that one ended (an
 * overrun, a full heap, an uncaught error). The first new thread is started at once; while none of them answers
 * anything, each waits longer than the one before, and calls are refused meanwhile.
 */
import type { Tensor } from '../../api/oip/tensor.ts'
import { type Backoff, backoffMs, pause } from '../../kit/backoff.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { createAdmission } from '../admission.ts'
import type { JavascriptThread, JavascriptThreadDeps } from './javascript-thread.ts'

export interface JavascriptModel {
  /** @throws ServingError INFERENCE_FAILED, DEADLINE_EXCEEDED, REQUEST_INVALID, MODEL_RESTARTING, CANCELLED */
  infer(inputs: readonly Tensor[], outputs: readonly string[], signal: AbortSignal): Promise<readonly Tensor[]>
  /** Ends its thread. */
  close(): void
}

export interface JavascriptModelDeps {
  readonly name: string
  /** Starts a thread that has the model loaded, until it ends or `signal` aborts. */
  readonly start: (deps: Pick<JavascriptThreadDeps, 'signal' | 'onEnd'>) => Promise<JavascriptThread>
  readonly log: Logger
}

type State =
  | { readonly kind: 'up'; readonly thread: Promise<JavascriptThread> }
  | { readonly kind: 'down'; readonly reason: string; readonly restartInMs: number }

const RESTART: Backoff = { minMs: 100, maxMs: 10_000 }

/** @throws ServingError when the model cannot be loaded */
export async function startJavascriptModel({ name, start, log }: JavascriptModelDeps): Promise<JavascriptModel> {
  const closing = new AbortController()
  let loaded = false
  let endsWithoutAnswer = 0
  // How many may wait is bounded by the admission that every model has, in model.ts.
  const turns = createAdmission({ concurrent: 1, queued: Infinity }, `model ${name}`)

  const launch = (): Promise<JavascriptThread> =>
    start({ signal: closing.signal, onEnd: (why) => void restart(why.message) })

  /** Up to the pause, everything is done at once: the next call in turn must not meet the thread that ended. */
  const restart = async (reason: string): Promise<void> => {
    if (!loaded || closing.signal.aborted) return
    const restartInMs = endsWithoutAnswer === 0 ? 0 : backoffMs(endsWithoutAnswer - 1, RESTART)
    endsWithoutAnswer += 1
    log.warn({ model: name, error: reason, restartInMs }, 'model thread ended')
    if (restartInMs > 0) {
      state = { kind: 'down', reason, restartInMs }
      await pause(restartInMs, closing.signal)
      if (closing.signal.aborted) return
    }
    const thread = launch()
    thread.catch(() => undefined) // restart is called again
    state = { kind: 'up', thread }
  }

  let state: State = { kind: 'up', thread: launch() }
  await state.thread
  loaded = true

  const inferNow = async (inputs: readonly Tensor[], outputs: readonly string[]): Promise<readonly Tensor[]> => {
    const thread = await threadOf(name, state)
    const results = await thread.infer(inputs, outputs)
    endsWithoutAnswer = 0
    return results
  }

  return {
    infer: (inputs, outputs, signal) => turns.run(signal, () => inferNow(inputs, outputs)),
    close() {
      closing.abort()
    },
  }
}

/** @throws ServingError MODEL_RESTARTING */
async function threadOf(name: string, state: State): Promise<JavascriptThread> {
  if (state.kind === 'down') {
    const soon = `is started again within ${String(Math.ceil(state.restartInMs))} ms`
    throw new ServingError('MODEL_RESTARTING', `model ${name} ${soon}; it ended because: ${state.reason}`)
  }
  try {
    return await state.thread
  } catch (error) {
    const reason = toServingError(error).message
    throw new ServingError('MODEL_RESTARTING', `model ${name} could not be started again: ${reason}`, { cause: error })
  }
}
