import type { Terminal } from '../../cli/terminal.ts'

/** A terminal that keeps what it is told, without colours. */
export function captureTerminal(): Terminal & { readonly lines: readonly string[]; readonly notes: readonly string[] } {
  const lines: string[] = []
  const notes: string[] = []
  return {
    lines,
    notes,
    out: (line) => void lines.push(line),
    note: (line) => void notes.push(line),
    paint: (_colour, text) => text,
    isWatched: false,
    clear: () => undefined,
    readInput: () => Promise.resolve(''),
  }
}
