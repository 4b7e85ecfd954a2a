/** What a command may do with its terminal. Colours only where a person reads: a TTY, and no NO_COLOR. */
import { catalogue, type ServingError } from '../kit/errors.ts'

export interface Terminal {
  /** Answers. */
  out(line: string): void
  /** Everything else: errors, warnings, progress. */
  note(line: string): void
  paint(colour: Colour, text: string): string
  /** A person looks at standard output: what is printed may be replaced by something newer. */
  readonly isWatched: boolean
  /** Empties the screen of one who watches. */
  clear(): void
  /** All of standard input. */
  readInput(): Promise<string>
}

const ESCAPES = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const
export type Colour = keyof typeof ESCAPES

export function createTerminal(
  streams: { stdin: NodeJS.ReadStream; stdout: NodeJS.WriteStream; stderr: NodeJS.WriteStream },
  environment: NodeJS.ProcessEnv,
): Terminal {
  const coloured = streams.stdout.isTTY && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb'
  return {
    out: (line) => void streams.stdout.write(`${line}\n`),
    note: (line) => void streams.stderr.write(`${line}\n`),
    paint: (colour, text) => (coloured ? `\u001B[${String(ESCAPES[colour])}m${text}\u001B[0m` : text),
    isWatched: streams.stdout.isTTY && environment['TERM'] !== 'dumb',
    clear: () => void streams.stdout.write('\u001B[H\u001B[2J'),
    async readInput() {
      const chunks: Buffer[] = []
      for await (const chunk of streams.stdin) chunks.push(Buffer.from(chunk as Buffer))
      return Buffer.concat(chunks).toString('utf8')
    },
  }
}

/** One line that says what failed, one that says what to do; several problems of one input get a line each. */
export function reportError(terminal: Terminal, error: ServingError): void {
  reportErrors(terminal, [error])
}

/** What to do is said once after errors of the same kind: a file of hundreds of resources may fail for one reason. */
export function reportErrors(terminal: Terminal, errors: readonly ServingError[]): void {
  for (const [index, error] of errors.entries()) {
    reportFailure(terminal, error)
    if (errors[index + 1]?.code !== error.code) terminal.note(`help: ${catalogue[error.code].help}`)
  }
}

function reportFailure(terminal: Terminal, error: ServingError): void {
  const label = 'error:'
  if (error.issues.length > 1)
    for (const issue of error.issues) terminal.note(`${label} ${error.code}: ${issue.path}: ${issue.message}`)
  else terminal.note(`${label} ${error.code}: ${error.message.replaceAll('\n', ' ')}`)
}
