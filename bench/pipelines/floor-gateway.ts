/**
 * What no gateway in Node can undercut: takes each piece that comes on a connection for a request of the bench, calls one model
 * through Envoy and sends one record to Kafka, both canned, and gives a canned answer when both were answered. Nothing is
 * parsed, checked or counted. `node floor-gateway.ts '<FloorOptions>'` prints a line when it listens.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { encodeInferRequest } from '../../dataflow/model-client/infer-codec.ts'
import { encodeBatch, encodeProduce, PRODUCE } from '../../dataflow/kafka/record-batch.ts'

export interface FloorOptions {
  readonly port: number
  readonly ingressPort: number
  readonly kafkaPort: number
  readonly model: string
  readonly topic: string
}

const HOST = '127.0.0.1'
const REQUEST_ID = '00000000-0000-4000-8000-000000000000'
const BODY =
  '{"model_name":"","parameters":{},"outputs":[{"name":"predict","datatype":"INT64","shape":[1],"data":[0]}]}'
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\nx-request-id: ${REQUEST_ID}\r\nx-pipeline-version: 1\r\ncontent-type: application/json\r\n` +
    `content-length: ${String(BODY.length)}\r\n\r\n${BODY}`,
)
const options = JSON.parse(process.argv[2] ?? '') as FloorOptions
const message = toMessage(options.model)
const modelCall = toModelCall(options.model, message)
const produce = toProduce(options.topic, message)

const idle: Socket[] = []
const waitingForModel = new Map<Socket, () => void>()
let waitingForKafka: (() => void)[] = []
/** One request to Kafka at a time stands for all that wait when it is sent. */
let sent: (() => void)[] = []

const kafka = connect({ host: HOST, port: options.kafkaPort, noDelay: true })
kafka.on('data', () => {
  const done = sent
  sent = []
  if (waitingForKafka.length > 0) flush()
  for (const one of done) one()
})
await once(kafka, 'connect')

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => undefined) // Envoy closes as it likes
  socket.on('data', () => {
    let missing = 2
    const one = (): void => {
      missing -= 1
      if (missing === 0) socket.write(ANSWER)
    }
    callModel(one)
    waitingForKafka.push(one)
    if (sent.length === 0) flush()
  })
}).listen(options.port, HOST)
await once(server, 'listening')
process.stdout.write('listening\n')

function flush(): void {
  sent = waitingForKafka
  waitingForKafka = []
  kafka.write(produce)
}

function callModel(onAnswer: () => void): void {
  const socket = idle.pop() ?? openToEnvoy()
  waitingForModel.set(socket, onAnswer)
  socket.write(modelCall)
}

function openToEnvoy(): Socket {
  const socket = connect({ host: HOST, port: options.ingressPort, noDelay: true })
  return socket.on('data', () => {
    idle.push(socket)
    waitingForModel.get(socket)?.()
  })
}

function toMessage(model: string): Buffer {
  const bytes = new Uint8Array(new Float32Array([5.1, 3.5, 1.4, 0.2]).buffer)
  const input = { name: 'predict', datatype: 'FP32', shape: [1, 4], parameters: {}, bytes } as const
  return Buffer.concat(encodeInferRequest({ id: '', parameters: {}, inputs: [input], outputs: [] }, model))
}

function toModelCall(model: string, body: Buffer): Buffer {
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(body.byteLength, 1)
  const head =
    'POST /inference.GRPCInferenceService/ModelInfer HTTP/1.1\r\ncontent-type: application/grpc\r\nte: trailers\r\n' +
    `content-length: ${String(body.byteLength + frame.byteLength)}\r\nhost: ingress\r\nseldon-model: ${model}\r\n` +
    `x-request-id: ${REQUEST_ID}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), frame, body])
}

/** With the header of a request of Kafka's: length, what is asked, its number, who asks, no further fields. */
function toProduce(topic: string, value: Buffer): Buffer {
  const record = { topic, partition: 0, key: REQUEST_ID, value, headers: [['x-request-id', REQUEST_ID]] } as const
  const nobody = { identity: { id: -1n, epoch: -1 }, sequence: -1, compression: 'none' } as const
  const batch = encodeBatch([record], { ...nobody, nowMs: Date.now() })
  const body = encodeProduce([{ topic, partition: 0, batch }], 5_000)
  const head = Buffer.alloc(15)
  head.writeInt32BE(head.byteLength - 4 + body.byteLength, 0)
  head.writeInt16BE(PRODUCE.key, 4)
  head.writeInt16BE(PRODUCE.version, 6)
  return Buffer.concat([head, body])
}
