import { Argument, type Command } from 'commander'
import { completionScript, type Shell, SHELLS } from '../completion.ts'
import { EXIT } from '../exit-codes.ts'
import type { Run } from '../session.ts'

/** `completion`: a script for the shell to read. */
export function addCompletion(program: Command, run: Run, processes: Readonly<Record<string, string>>): void {
  program
    .command('completion')
    .summary('print a script that completes commands and flags in a shell')
    .description('Prints a completion script, for instance: source <(millrace completion bash)')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: Shell, _options: object, command: Command) =>
      run(command, (session) => {
        session.terminal.out(completionScript(shell, program, processes))
        return Promise.resolve(EXIT.ok)
      }),
    )
}
