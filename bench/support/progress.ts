const startedMs = performance.now()

/** One line on stderr with the seconds since the start. */
export function say(line: string): void {
  process.stderr.write(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(7)} s  ${line}\n`)
}
