/** Small child processes whose behaviour is given as a program text, for tests of the supervisor. */
import type { ProcessSpec } from '../../up/supervisor/spec.ts'

const STEP_MS = 20

export function nodeSpec(name: string, port: number, program: string, changes: Partial<ProcessSpec> = {}): ProcessSpec {
  return {
    name,
    command: process.execPath,
    args: ['-e', program],
    environment: { TEST_PORT: String(port) },
    after: [],
    readiness: { kind: 'http', url: `http://127.0.0.1:${String(port)}/` },
    readyTimeoutMs: 30_000,
    stopStage: 0,
    stopTimeoutMs: 500,
    ...changes,
  }
}

/** Answers every request with its pid. */
export const SERVE = `
  require('node:http').createServer((_, response) => response.end(String(process.pid)))
    .listen(Number(process.env.TEST_PORT), '127.0.0.1')
`

/** Waits for a condition, or fails at the deadline saying what did not happen. */
export async function eventually(what: string, condition: () => boolean, deadlineMs = 30_000): Promise<void> {
  const giveUpAt = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${String(deadlineMs)} ms: ${what}`)
    await new Promise((done) => setTimeout(done, STEP_MS))
  }
}
