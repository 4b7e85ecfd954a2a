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
  /** By the number of their call. A list, as what a Map once held outlives it: `kit/placed-list.ts`. */
  const pending: (((reply: WorkerReply) => void) | undefined)[] = []
  const freeCalls: number[] = []

  worker.on('message', ({ call, reply }: WorkerAnswer) => {
    const tell = pending[call]
    if (tell === undefined) return
    pending[call] = undefined
    freeCalls.push(call)
    tell(reply)
  })

  /** Bounded by the admission of each model. `kind` is the reply that a success has. */
  const ask = async <K extends WorkerReply['kind']>(
    kind: K,
    request: WorkerRequest,
    transfer: ArrayBuffer[] = [],
  ): Promise<Extract<WorkerReply, { kind: K }>> => {
    const call = freeCalls.pop() ?? pending.length
    const reply = await new Promise<WorkerReply>((resolve) => {
      pending[call] = resolve
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
      return reply.outputs.map((tensor) => ({ parameters: NO_PARAMETERS, ...tensor }))
    },
    async release(session) {
      await ask('released', { kind: 'release', session })
    },
    async stop() {
      await worker.terminate()
    },
  }
}
