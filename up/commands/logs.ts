import { watch } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { EXIT, type ExitCode } from '../../cli/exit-codes.ts'
import type { Run, Session } from '../../cli/session.ts'
import { ServingError } from '../../kit/errors.ts'
import { LOG_LEVELS, type LogLevel } from '../../kit/log.ts'
import { isAtLeast, type LogLine } from '../logs/line.ts'
import { byTime, chooseLogs, LogReader, logNames } from '../logs/log-files.ts'
import { renderLine, toJsonLine } from '../logs/render.ts'
import { stateDirOption } from './options.ts'

interface LogsOptions {
  readonly follow?: boolean
  readonly lines: string
  readonly level?: LogLevel
  readonly stateDir: string
}

/** `logs`: what the processes of a local `up` have written. */
export function addLogs(program: Command, run: Run): void {
  program
    .command('logs')
    .summary('show what the processes of a local `millrace up` wrote')
    .description(
      'Shows the logs of the processes that `millrace up` runs on this machine, by time (UTC). ' +
        '`--output json` prints the lines as they were written.',
    )
    .argument('[process]', 'scheduler, envoy-0, ...; agent means all agents (default: all)')
    .option('-f, --follow', 'go on with what is added, until Ctrl-C')
    .option('-n, --lines <n>', 'how many lines to begin with', '50')
    .addOption(new Option('--level <level>', 'only lines at least as severe').choices(LOG_LEVELS))
    .addOption(stateDirOption())
    .action((process: string | undefined, options: LogsOptions, command: Command) =>
      run(command, (session) => showLogs(session, process, options)),
    )
}

async function showLogs(session: Session, process: string | undefined, options: LogsOptions): Promise<ExitCode> {
  const count = parseCount(options.lines)
  const folder = join(resolve(options.stateDir), 'logs')
  const names = chooseLogs(logNames(folder), process)
  const width = Math.max(...names.map((name) => name.length))
  const readers = names.map((name) => new LogReader(folder, name))
  const added = (): readonly LogLine[] =>
    byTime(readers.flatMap((reader) => reader.read())).filter(
      (line) => options.level === undefined || isAtLeast(line, options.level),
    )
  const print = (lines: readonly LogLine[]): void => {
    for (const line of lines)
      session.terminal.out(session.format === 'json' ? toJsonLine(line) : renderLine(line, width, session.terminal))
  }
  const first = added()
  print(count === 0 ? [] : first.slice(-count))
  if (options.follow === true)
    await whenChanged(folder, () => {
      print(added())
    })
  return EXIT.ok
}

/** Never returns by itself: Ctrl-C ends the command, or a reader that has seen enough. */
function whenChanged(folder: string, work: () => void): Promise<never> {
  return new Promise((_, reject) => {
    const watcher = watch(folder, work)
    watcher.once('error', reject)
    work() // what was added before the watch began
  })
}

const MAX_LINES = 1_000_000

function parseCount(text: string): number {
  if (/^\d+$/.test(text) && Number(text) <= MAX_LINES) return Number(text)
  throw new ServingError('CONFIG_INVALID', `--lines ${text}: must be a whole number from 0 to ${String(MAX_LINES)}`)
}
