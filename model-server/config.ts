import { Type } from 'typebox'
import type { Static } from 'typebox'
import { MAX_MESSAGE_BYTES } from '../api/grpc.ts'
import type { ProcessDefinition } from '../kit/config.ts'
import { LOG_LEVELS } from '../kit/log.ts'
import { listenerOptions } from '../kit/security.ts'
import { MIN_HEAP_MB } from './runtimes/javascript-document.ts'

const port = (description: string, standard: number) =>
  Type.Integer({ minimum: 0, maximum: 65_535, default: standard, description })
const atLeastOne = (description: string, standard: number) =>
  Type.Integer({ minimum: 1, default: standard, description })

const schema = Type.Object({
  host: Type.String({ default: '127.0.0.1', description: 'Address to listen on.' }),
  tlsCert: listenerOptions.tlsCert,
  tlsKey: listenerOptions.tlsKey,
  tlsClientCa: listenerOptions.tlsClientCa,
  insecure: listenerOptions.insecure,
  restPort: port('Port of the REST interface; 0 takes a free one.', 9100),
  grpcPort: port('Port of the gRPC interface; 0 takes a free one.', 9101),
  repository: Type.String({
    minLength: 1,
    description: 'Folder with one folder per model, named by its internal name.',
  }),
  maxRequestBytes: atLeastOne('Largest request body or message.', MAX_MESSAGE_BYTES),
  maxBufferedBytes: atLeastOne(
    'All REST bodies held at the same time; more are refused with 429.',
    4 * MAX_MESSAGE_BYTES,
  ),
  maxConcurrentPerModel: atLeastOne('Inferences of one model at the same time.', 64),
  maxQueuedPerModel: Type.Integer({
    minimum: 0,
    default: 1024,
    description: 'Inferences of one model that wait for their turn; more are refused with 429.',
  }),
  drainTimeoutMs: atLeastOne('On SIGTERM, how long requests in flight may take to finish.', 4_000),
  onnxWorkers: atLeastOne('Threads that ONNX models are spread over; a slow model delays those it shares one with.', 2),
  onnxThreads: atLeastOne('Threads that one ONNX inference may use.', 1),
  javascriptModels: Type.Boolean({
    default: false,
    description:
      'Load JavaScript models. They can do all that the user of this process can: only for code that you trust.',
  }),
  javascriptHeapMb: Type.Integer({
    minimum: MIN_HEAP_MB,
    default: 256,
    description: 'Most heap of one JavaScript model; its model.json may ask for less.',
  }),
  javascriptInferenceMs: atLeastOne(
    'Longest inference of a JavaScript model; its model.json may ask for less.',
    10_000,
  ),
  javascriptLoadMs: atLeastOne('Longest load of a JavaScript model; its model.json may ask for less.', 60_000),
  logLevel: Type.Union(
    LOG_LEVELS.map((level) => Type.Literal(level)),
    { default: 'info', description: `Least severe level that is logged: ${LOG_LEVELS.join(', ')}.` },
  ),
})

export type ModelServerConfig = Readonly<Static<typeof schema>>

export const modelServerProcess: ProcessDefinition<typeof schema> = {
  name: 'model-server',
  summary:
    'The embedded model server: Open Inference Protocol over REST and gRPC; ONNX models, and JavaScript ones where enabled.',
  schema,
}
