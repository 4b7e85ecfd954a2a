/** The server's end of one ONNX worker thread. */
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import type { Tensor } from '../../api/oip/tensor.ts'
import { ServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Session, WorkerAnswer, WorkerCall, WorkerReply, WorkerRequest } from './onnx-protocol.ts'
import { startThread } from './start-thread.ts'
import { toWorkerTensor } from './worker-tensor.ts'

export interface OnnxWorker extends Running {
  load(path: string): Promise<Session>
  run(session: number, inputs: readonly Tensor[], outputs: readonly string[]): Promise<readonly Tensor[]>
  release(session: number): Promise<void>
}

export function startOnnxWorker(threads: number): OnnxWorker {
  const worker = startThread('onnx-worker') // no 'error' listener: its death is the process's
  const pending = new Map<number, (reply: WorkerReply) => void>()
  let lastCall = 0

  worker.on('message', ({ call, reply }: WorkerAnswer) => {
    pending.get(call)?.(reply)
    pending.delete(call)
  })

  /** Bounded by the admission of each model. `kind` is the reply that a success has. */
  const ask = async <K extends WorkerReply['kind']>(
    kind: K,
    request: WorkerRequest,
    transfer: ArrayBuffer[] = [],
  ): Promise<Extract<WorkerReply, { kind: K }>> => {
    lastCall += 1
    const call = lastCall
    const reply = await new Promise<WorkerReply>((resolve) => {
      pending.set(call, resolve)
      worker.postMessage({ call, request } satisfies WorkerCall, transfer)
    })
    if (reply.kind === kind) return reply as Extract<WorkerReply, { kind: K }>
    if (reply.kind !== 'failed') throw new ServingError('INVARIANT_BROKEN', `ONNX worker answered ${reply.kind}`)
    if (reply.code !== undefined) throw new ServingError(reply.code, reply.message)
    throw new Error(reply.message)
  }

  return {
    async load(path) {
      return (await ask('loaded', { kind: 'load', path, threads })).session
    },
    async run(session, tensors, outputs) {
      const inputs = tensors.map(toWorkerTensor)
      const transfer = inputs.map((tensor) => tensor.bytes.buffer)
      const reply = await ask('ran', { kind: 'run', session, inputs, outputs }, transfer)
      return reply.outputs.map((tensor) => ({ ...tensor, parameters: NO_PARAMETERS }))
    },
    async release(session) {
      await ask('released', { kind: 'release', session })
    },
    async stop() {
      await worker.terminate()
    },
  }
}
