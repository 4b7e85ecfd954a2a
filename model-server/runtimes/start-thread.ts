import { Worker, type WorkerOptions } from 'node:worker_threads'

/** Starts a thread with the function `start` of a file of this folder, named without its ending. */
export function startThread(file: string, options: WorkerOptions = {}): Worker {
  const fromSource = import.meta.url.endsWith('.ts')
  const url = JSON.stringify(new URL(`./${file}.${fromSource ? 'ts' : 'js'}`, import.meta.url))
  return new Worker(fromSource ? sourceBootstrap(url) : builtBootstrap(url), { ...options, eval: true })
}

const builtBootstrap = (url: string): string => `import(${url}).then(({ start }) => start())`

/** The thread needs a TypeScript loader of its own, which must be gone when it imports what is not ours. */
const sourceBootstrap = (url: string): string => `import('tsx/esm/api').then(async ({ register }) => {
  const unregister = register()
  const { start } = await import(${url})
  await unregister()
  start()
})`
