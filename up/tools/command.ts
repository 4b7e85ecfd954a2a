import { spawn } from 'node:child_process'

/** How a short command ended. `output` is the tail of both its streams. */
export type CommandEnd =
  | { readonly kind: 'exited'; readonly status: number; readonly output: string }
  | { readonly kind: 'notFound' }
  | { readonly kind: 'killed'; readonly reason: string; readonly output: string }

interface CommandOptions {
  readonly timeoutMs: number
  readonly environment: NodeJS.ProcessEnv
  readonly signal?: AbortSignal | undefined
}

const OUTPUT_BOUND = 64 * 1024

/** Runs a command to its end, within a deadline; never throws. */
export function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<CommandEnd> {
  return new Promise((resolve) => {
    let output = ''
    const append = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_BOUND)
    }
    // Its own process group: a Ctrl-C at the terminal reaches us alone, and the signal below ends pip's children too.
    const child = spawn(command, args, { env: options.environment, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let reason: string | undefined
    const kill = (why: string): void => {
      reason ??= why
      if (child.pid !== undefined) killGroup(child.pid)
    }
    const deadline = setTimeout(() => {
      kill(`it took longer than ${String(options.timeoutMs / 1000)} s`)
    }, options.timeoutMs)
    const onAbort = (): void => {
      kill('stopped')
    }
    options.signal?.addEventListener('abort', onAbort, { once: true })
    const finish = (end: CommandEnd): void => {
      clearTimeout(deadline)
      options.signal?.removeEventListener('abort', onAbort)
      resolve(end)
    }
    child.stdout.on('data', append)
    child.stderr.on('data', append)
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') finish({ kind: 'notFound' })
      else finish({ kind: 'killed', reason: error.message, output })
    })
    child.once('close', (status, signal) => {
      if (reason === undefined && status !== null) finish({ kind: 'exited', status, output })
      else finish({ kind: 'killed', reason: reason ?? `ended by ${String(signal)}`, output })
    })
    if (options.signal?.aborted === true) onAbort()
  })
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // already gone
  }
}
