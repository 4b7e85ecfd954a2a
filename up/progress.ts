/** Progress lines on standard error: one per step with its seconds. Colours and rewriting only on a terminal. */

export interface Progress {
  /** Runs one step. `note` tells what it is doing; it is shown in place on a terminal, now and then elsewhere. */
  step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T>
  line(text: string): void
}

interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

const PLAIN_NOTE_EVERY_MS = 5_000
const CLEAR_LINE = '\r\u001b[2K'

export function createProgress(output: Output, environment: NodeJS.ProcessEnv): Progress {
  const terminal = output.isTTY === true
  const coloured = terminal && (environment['NO_COLOR'] ?? '') === ''
  const colour = (code: number, text: string): string => (coloured ? `\u001b[${String(code)}m${text}\u001b[0m` : text)
  const rewrite = terminal ? CLEAR_LINE : ''
  return {
    line: (text) => {
      output.write(`${text}\n`)
    },
    step: async (title, work) => {
      const startedAt = performance.now()
      const seconds = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`
      let notedAt = startedAt
      const note = (text: string): void => {
        if (terminal) {
          output.write(`${rewrite}  ${`${title}: ${text}`.slice(0, (output.columns || 80) - 3)}`)
        } else if (performance.now() - notedAt >= PLAIN_NOTE_EVERY_MS) {
          notedAt = performance.now()
          output.write(`  ${title}: ${text}\n`)
        }
      }
      if (terminal) output.write(`  ${title}`)
      try {
        const result = await work(note)
        output.write(`${rewrite}${colour(32, '✓')} ${title} ${colour(2, `(${seconds()})`)}\n`)
        return result
      } catch (error) {
        output.write(`${rewrite}${colour(31, '✗')} ${title} ${colour(2, `(${seconds()})`)}\n`)
        throw error
      }
    },
  }
}

/** For callers that want no lines. */
export const silentProgress: Progress = {
  line: () => undefined,
  step: (_title, work) => work(() => undefined),
}
