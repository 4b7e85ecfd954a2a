/** The thread of one JavaScript model: imports `model.js`, calls its `load` once and its `infer` for each call. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { ServingError } from '../../kit/errors.ts'
import type {
  JavascriptThreadData,
  ThreadAnswer,
  ThreadCall,
  ThreadReply,
  ThreadRequest,
} from './javascript-protocol.ts'
import { fromModelOutput, toModelTensor } from './javascript-tensor.ts'
import type { OwnTensor, WorkerTensor } from './worker-tensor.ts'

type ModelFunction = (...args: unknown[]) => unknown

const data = workerData as JavascriptThreadData
const context = { name: data.name, folder: data.folder, parameters: data.parameters }
let infer: ModelFunction | undefined
let state: unknown

async function load(): Promise<void> {
  const module = (await import(pathToFileURL(join(data.folder, 'model.js')).href)) as Readonly<Record<string, unknown>>
  const exported = functionOf(module, 'infer')
  if (exported === undefined) throw new Error('model.js exports no function infer(tensors, context)')
  state = await functionOf(module, 'load')?.(context)
  infer = exported
}

function functionOf(module: Readonly<Record<string, unknown>>, name: string): ModelFunction | undefined {
  const exported = module[name]
  if (exported === undefined || typeof exported === 'function') return exported as ModelFunction | undefined
  throw new Error(`model.js exports ${name}, but as ${typeof exported}: it must be a function`)
}

async function run(inputs: readonly WorkerTensor[], wanted: readonly string[]): Promise<readonly OwnTensor[]> {
  const tensors = Object.fromEntries(inputs.map((tensor) => [tensor.name, toModelTensor(tensor)]))
  const results = await infer?.(tensors, { state, outputs: wanted, ...context })
  const given = toOutputs(results)
  return wanted.flatMap((name) => given.find((tensor) => tensor.name === name) ?? [])
}

/** Every output is checked, those that the caller did not ask for, too; a model may leave outputs out. */
function toOutputs(results: unknown): OwnTensor[] {
  if (typeof results !== 'object' || results === null || Array.isArray(results))
    throw new Error('infer must give an object with one member per output')
  const unknown = Object.keys(results).find((name) => !data.outputs.some((output) => output.name === name))
  if (unknown !== undefined)
    throw new Error(
      `output "${unknown}" is unknown; model.json declares ${data.outputs.map(({ name }) => `"${name}"`).join(', ')}`,
    )
  return data.outputs.flatMap((declared) => {
    const output = (results as Readonly<Record<string, unknown>>)[declared.name]
    return output === undefined || output === null ? [] : [toOutput(declared, output)]
  })
}

function toOutput(declared: JavascriptThreadData['outputs'][number], output: unknown): OwnTensor {
  try {
    return fromModelOutput(declared, output)
  } catch (error) {
    throw new Error(`bad output: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

async function answer(request: ThreadRequest): Promise<ThreadReply> {
  switch (request.kind) {
    case 'load':
      await load()
      return { kind: 'loaded' }
    case 'infer':
      return { kind: 'inferred', outputs: await run(request.inputs, request.outputs) }
  }
}

/** A model says by `status: 400` on what it throws that the caller is at fault; so do tensors that it cannot read. */
function toFailure(error: unknown): ThreadReply {
  const blamed = error instanceof ServingError || (error as { status?: unknown } | null | undefined)?.status === 400
  return { kind: 'failed', message: describe(error), fault: blamed ? 'caller' : 'model' }
}

/** Node does not say where a syntax error is. */
function describe(error: unknown): string {
  if (error instanceof SyntaxError) return `SyntaxError: ${error.message} (node --check shows where)`
  return error instanceof Error ? error.message : String(error)
}

function reply(call: number, content: ThreadReply): void {
  const transfer = content.kind === 'inferred' ? content.outputs.map(({ bytes }) => bytes.buffer as ArrayBuffer) : []
  parentPort?.postMessage({ call, reply: content } satisfies ThreadAnswer, transfer)
}

/** Answers calls from now on. */
export function start(): void {
  parentPort?.on('message', ({ call, request }: ThreadCall) => {
    void answer(request)
      .catch(toFailure)
      .then((content) => {
        reply(call, content)
      })
  })
}
