/** Runs the CLI as it was built, as a child process, as a user would: its own streams, environment and exit code. */
import { type ChildProcess, spawn } from 'node:child_process'
import { MILLRACE } from './programs.ts'

export interface CliResult {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface StartedCli {
  readonly child: ChildProcess
  readonly done: Promise<CliResult>
  /** Resolves when it has printed this; rejects when it ended without. */
  printed(text: string): Promise<void>
}

const DEADLINE_MS = 60_000

export function startCli(
  argv: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): StartedCli {
  const { MILLRACE_SCHEDULER: _scheduler, MILLRACE_INGRESS: _ingress, ...inherited } = process.env
  const child = spawn(process.execPath, [MILLRACE, ...argv], {
    env: { ...inherited, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  })
  child.stdin.end(options.input ?? '')
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const done = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      resolve({ code, out, err })
    })
  })
  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (out.includes(text)) resolve()
      }
      child.stdout.on('data', look)
      look()
      void done.then(({ err: said }) => {
        reject(new Error(`it ended without printing ${JSON.stringify(text)}: ${said}`))
      }, reject)
    })
  return { child, done, printed }
}

export const runCli = (...parameters: Parameters<typeof startCli>): Promise<CliResult> => startCli(...parameters).done
