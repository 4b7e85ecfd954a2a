/** The server's end of the thread of one JavaScript model. What it was doing when it ended is answered with why. */
import type { Worker } from 'node:worker_threads'
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import type { Tensor } from '../../api/oip/tensor.ts'
import { type ErrorCode, ServingError } from '../../kit/errors.ts'
import { describeLimit, type JavascriptLimits } from './javascript-document.ts'
import type {
  JavascriptThreadData,
  ThreadAnswer,
  ThreadCall,
  ThreadReply,
  ThreadRequest,
} from './javascript-protocol.ts'
import { startThread } from './start-thread.ts'
import { toWorkerTensor } from './worker-tensor.ts'

export interface JavascriptThread {
  /** One call at a time. @throws ServingError INFERENCE_FAILED, DEADLINE_EXCEEDED, REQUEST_INVALID */
  infer(inputs: readonly Tensor[], outputs: readonly string[]): Promise<readonly Tensor[]>
}

export interface JavascriptThreadDeps {
  readonly data: JavascriptThreadData
  readonly limits: JavascriptLimits
  /** Ends the thread. */
  readonly signal: AbortSignal
  /** Called once, when the thread answers no more, whoever ended it, and before the call that it had is failed. */
  readonly onEnd: (why: ServingError) => void
}

/**
 * A thread that has the model loaded, until it ends or `signal` aborts.
 * @throws ServingError when the model cannot be loaded; nothing is left of it then
 */
export async function startJavascriptThread(deps: JavascriptThreadDeps): Promise<JavascriptThread> {
  const { data, limits, signal } = deps
  const worker = startThread('javascript-worker', {
    workerData: data,
    name: data.name,
    resourceLimits: { maxOldGenerationSizeMb: limits.heapMb },
  })
  const conversation = converse(worker, deps)

  const askWithin = async (limit: 'inferenceMs' | 'loadMs', request: ThreadRequest, transfer: ArrayBuffer[] = []) => {
    const overrun = setTimeout(() => {
      const doing = limit === 'loadMs' ? 'its load' : 'one inference'
      conversation.end('DEADLINE_EXCEEDED', `${doing} took longer than ${describeLimit(limit, limits)}`)
    }, limits[limit])
    try {
      return await conversation.ask(request, transfer)
    } finally {
      clearTimeout(overrun)
    }
  }

  const unload = (): void => {
    conversation.end('CANCELLED', 'it was unloaded')
  }
  if (signal.aborted) unload()
  signal.addEventListener('abort', unload, { once: true })
  worker.once('exit', () => {
    signal.removeEventListener('abort', unload)
  })

  const loaded = await askWithin('loadMs', { kind: 'load' })
  if (loaded.kind === 'failed') {
    conversation.end('LOAD_FAILED', loaded.message)
    throw new ServingError('LOAD_FAILED', loaded.message)
  }
  return {
    async infer(tensors, outputs) {
      const inputs = tensors.map(toWorkerTensor)
      const transfer = inputs.map((tensor) => tensor.bytes.buffer)
      const reply = await askWithin('inferenceMs', { kind: 'infer', inputs, outputs }, transfer)
      switch (reply.kind) {
        case 'inferred':
          return reply.outputs.map((tensor) => ({ parameters: NO_PARAMETERS, ...tensor }))
        case 'failed':
          throw new ServingError(FAULT[reply.fault], `model ${data.name}: ${reply.message}`)
        case 'loaded':
          throw new ServingError('INVARIANT_BROKEN', `model ${data.name} was asked to infer and loaded`)
      }
    },
  }
}

const FAULT = { caller: 'REQUEST_INVALID', model: 'INFERENCE_FAILED' } as const

interface Pending {
  readonly call: number
  readonly resolve: (reply: ThreadReply) => void
  readonly reject: (why: ServingError) => void
}

/**
 * Calls and replies until the end. The first reason for it counts, and the thread is over from then on, even while what
 * it runs cannot be interrupted yet. Messages that are none of ours are the model's own.
 */
function converse(worker: Worker, { data, limits, onEnd }: JavascriptThreadDeps) {
  let lastCall = 0
  let pending: Pending | undefined
  let why: ServingError | undefined

  const end = (code: ErrorCode, reason: string): void => {
    if (why !== undefined) return
    why = new ServingError(code, `model ${data.name} was ended: ${reason}`)
    onEnd(why)
    pending?.reject(why)
    pending = undefined
    void worker.terminate()
  }

  worker.on('message', (message: Partial<ThreadAnswer> | null) => {
    if (pending === undefined || message?.reply === undefined || message.call !== pending.call) return
    const { resolve } = pending
    pending = undefined
    resolve(message.reply)
  })
  worker.on('error', (error: unknown) => {
    end('INFERENCE_FAILED', reasonOf(error, limits))
  })
  worker.on('exit', (code) => {
    end('INFERENCE_FAILED', `it left its thread with exit code ${String(code)}, as process.exit() does`)
  })

  return {
    end,
    ask: (request: ThreadRequest, transfer: ArrayBuffer[]) =>
      new Promise<ThreadReply>((resolve, reject) => {
        if (why !== undefined) {
          reject(why)
          return
        }
        lastCall += 1
        pending = { call: lastCall, resolve, reject }
        worker.postMessage({ call: lastCall, request } satisfies ThreadCall, transfer)
      }),
  }
}

function reasonOf(error: unknown, limits: JavascriptLimits): string {
  if ((error as { code?: unknown } | null | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY')
    return `it needs more heap than ${describeLimit('heapMb', limits)}`
  return `it left an error or rejection uncaught: ${error instanceof Error ? error.message : String(error)}`
}
