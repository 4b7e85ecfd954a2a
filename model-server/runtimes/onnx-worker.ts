/** The thread in which ONNX models are loaded and run, one call after the other. */
import { parentPort } from 'node:worker_threads'
import { InferenceSession } from 'onnxruntime-node'
import { ServingError } from '../../kit/errors.ts'
import type { WorkerAnswer, WorkerCall, WorkerReply, WorkerRequest } from './onnx-protocol.ts'
import type { GraphTensor } from './onnx-metadata.ts'
import { fromOnnxTensor, toDatatype, toOnnxTensor } from './onnx-tensor.ts'

const ERRORS_ONLY = 3
const sessions = new Map<number, InferenceSession>()
let lastSession = 0

async function answer(request: WorkerRequest): Promise<WorkerReply> {
  switch (request.kind) {
    case 'load':
      return await load(request.path, request.threads)
    case 'run': {
      const feeds = Object.fromEntries(request.inputs.map((tensor) => [tensor.name, toOnnxTensor(tensor)]))
      const results = await sessionOf(request.session).run(feeds, [...request.outputs])
      return { kind: 'ran', outputs: request.outputs.map((name) => toOutput(name, results)) }
    }
    case 'release':
      await sessionOf(request.session).release()
      sessions.delete(request.session)
      return { kind: 'released' }
  }
}

async function load(path: string, threads: number): Promise<WorkerReply> {
  const session = await InferenceSession.create(path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: ERRORS_ONLY,
  })
  lastSession += 1
  const inputs = session.inputMetadata.map(toGraphTensor)
  const outputs = session.outputMetadata.map(toGraphTensor)
  sessions.set(lastSession, session)
  return { kind: 'loaded', session: { id: lastSession, inputs, outputs } }
}

function toGraphTensor(metadata: InferenceSession.ValueMetadata): GraphTensor {
  if (!metadata.isTensor) throw new Error(`"${metadata.name}" is not a tensor, so the protocol cannot carry it`)
  const shape = metadata.shape.map((dimension) => (typeof dimension === 'number' ? dimension : -1))
  return { name: metadata.name, datatype: toDatatype(metadata.name, metadata.type), shape }
}

function toOutput(name: string, results: InferenceSession.OnnxValueMapType) {
  const tensor = results[name]
  if (tensor === undefined) throw new Error(`the model gave no output "${name}"`)
  return fromOnnxTensor(name, tensor)
}

function sessionOf(id: number): InferenceSession {
  const session = sessions.get(id)
  if (session) return session
  throw new ServingError('INVARIANT_BROKEN', `no ONNX session ${String(id)}`)
}

function toFailure(error: unknown): WorkerReply {
  const message = error instanceof Error ? error.message : String(error)
  return { kind: 'failed', message, code: error instanceof ServingError ? error.code : undefined }
}

/** Answers calls from now on. */
export function start(): void {
  parentPort?.on('message', ({ call, request }: WorkerCall) => {
    void answer(request)
      .catch(toFailure)
      .then((reply) => {
        parentPort?.postMessage({ call, reply } satisfies WorkerAnswer)
      })
  })
}
