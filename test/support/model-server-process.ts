/** The model server as a process of its own, from source, on free ports: the test one with models that misbehave. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { credentials } from '@grpc/grpc-js'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import { MILLRACE, testProgram } from './programs.ts'
import { packageRoot } from '../../kit/root.ts'

const START_DEADLINE_MS = 60_000

export interface ModelServerProcess {
  readonly url: string
  readonly client: InstanceType<typeof GRPCInferenceService>
  readonly child: ChildProcess
  /** The folder of its models. */
  readonly repository: string
  /** Puts a folder into the repository: a copy of one, a sample's, or one with the given model.json and files. */
  addModel(internalName: string, from: { sample: string } | { folder: string } | ModelFiles): void
  post(path: string, body?: string | Uint8Array, headers?: Record<string, string>): Promise<Response>
  readonly load: (internalName: string) => Promise<void>
  /** Exit code, or the signal's name. */
  exited(): Promise<number | string>
  stop(): Promise<void>
}

interface ModelFiles {
  readonly document: unknown
  readonly files?: Readonly<Record<string, string>>
}

/** test-model-server.ts */
export const startTestModelServer = (...flags: string[]): Promise<ModelServerProcess> =>
  startProgram([testProgram('test-model-server')], flags)

/** `millrace model-server` as users start it. */
export const startRealModelServer = (...flags: string[]): Promise<ModelServerProcess> =>
  startProgram([MILLRACE, 'model-server'], flags)

async function startProgram(program: readonly string[], flags: readonly string[]): Promise<ModelServerProcess> {
  const repository = mkdtempSync(join(tmpdir(), 'millrace-models-'))
  const child = spawn(
    process.execPath,
    [...program, '--rest-port', '0', '--grpc-port', '0', '--repository', repository, ...flags],
    { cwd: packageRoot, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const ports = await listening(child)
  const url = `http://127.0.0.1:${String(ports.restPort)}`
  const client = new GRPCInferenceService(
    `127.0.0.1:${String(ports.grpcPort)}`,
    credentials.createInsecure(),
    GRPC_OPTIONS,
  )
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  const post: ModelServerProcess['post'] = (path, body = '', headers = {}) =>
    fetch(`${url}${path}`, { method: 'POST', body, headers })
  return {
    url,
    client,
    child,
    repository,
    addModel(internalName, from) {
      const folder = join(repository, internalName)
      mkdirSync(folder, { recursive: true })
      if ('document' in from) {
        const files = { ...from.files, 'model.json': JSON.stringify(from.document) }
        for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
      } else {
        const source = 'folder' in from ? from.folder : join(packageRoot, 'samples', from.sample, 'model')
        cpSync(source, folder, { recursive: true })
      }
    },
    post,
    async load(internalName) {
      const response = await post(`/v2/repository/models/${internalName}/load`)
      if (!response.ok) throw new Error(await response.text())
    },
    async exited() {
      const [code, signal] = await exit
      return code ?? signal ?? 'unknown'
    },
    async stop() {
      client.close()
      child.kill('SIGKILL')
      await exit
      rmSync(repository, { recursive: true, force: true })
    },
  }
}

/** Waits for the log line that names the ports. */
function listening(child: ChildProcess): Promise<{ restPort: number; grpcPort: number }> {
  if (child.stderr === null) throw new Error('the model server has no standard error')
  const lines = createInterface(child.stderr)
  return new Promise((resolve, reject) => {
    const seen: string[] = []
    const fail = (why: string): void => {
      clearTimeout(deadline)
      reject(new Error(`the model server ${why}:\n${seen.join('\n')}`))
    }
    const deadline = setTimeout(() => {
      fail('did not listen in time')
    }, START_DEADLINE_MS)
    child.once('exit', () => {
      fail('exited')
    })
    lines.on('line', (line) => {
      if (seen.length < 100) seen.push(line)
      if (!line.includes('"msg":"listening"')) return
      clearTimeout(deadline)
      resolve(JSON.parse(line) as { restPort: number; grpcPort: number })
    })
  })
}

/** A body that every model of the test platform, and iris, takes. */
export const IRIS_REQUEST = JSON.stringify({
  inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], data: [[1, 2, 3, 4]] }],
})
