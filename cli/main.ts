/** The commands that are clients of a running Millrace. */
import { CommanderError } from 'commander'
import { toServingError } from '../kit/errors.ts'
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes.ts'
import { type AddCommand, createProgram } from './program.ts'
import { createSession, type Session, type SessionOptions } from './session.ts'
import { createTerminal, reportError } from './terminal.ts'

/** `argv` begins with the command's name; `more` joins the clients' commands. Sets the exit code; see cli/exit-codes.ts. */
export async function main(argv: readonly string[], more: readonly AddCommand[] = []): Promise<void> {
  process.stdout.on('error', leaveWhenNobodyReads)
  const terminal = createTerminal(process, process.env)
  const program = createProgram(async (command, work) => {
    process.exitCode = await runInSession(command.optsWithGlobals(), work)
  }, more)
  program.exitOverride()
  for (const command of program.commands) command.exitOverride()
  try {
    await program.parseAsync(argv, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage // commander has said what was wrong
  }

  async function runInSession(
    options: SessionOptions,
    work: (session: Session) => Promise<ExitCode>,
  ): Promise<ExitCode> {
    try {
      const session = createSession(options, terminal)
      try {
        return await work(session)
      } finally {
        session.close()
      }
    } catch (error) {
      const failure = toServingError(error)
      reportError(terminal, failure)
      return exitCodeOf(failure)
    }
  }
}

/** `millrace get models | head -1` is no failure. */
function leaveWhenNobodyReads(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(EXIT.ok)
  throw error
}
