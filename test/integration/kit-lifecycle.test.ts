import { spawn } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { testProgram } from '../support/programs.ts'

interface Ended {
  readonly code: number | null
  readonly lines: readonly string[]
  readonly log: string
}

/** Runs the child; sends the signals once it says that it is ready. */
function run(mode: string, ...signals: NodeJS.Signals[]): Promise<Ended> {
  const child = spawn(process.execPath, [testProgram('lifecycle-child'), mode], {
    timeout: 20_000,
    killSignal: 'SIGKILL',
  })
  let out = ''
  let log = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (!out.includes('ready\n') && (out + text).includes('ready\n')) for (const signal of signals) child.kill(signal)
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      resolve({ code, lines: out.trim().split('\n'), log })
    })
  })
}

const REVERSE = ['stop third', 'stop second', 'stop first']

describe.concurrent('a process', { timeout: 30_000 }, () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('stops its parts in reverse order on %s, and exits 0', async (signal) => {
    expect(await run('normal', signal)).toMatchObject({ code: 0, lines: ['ready', ...REVERSE] })
  })

  it('stops once, however often it is told', async () => {
    expect((await run('normal', 'SIGTERM', 'SIGINT', 'SIGTERM')).lines).toEqual(['ready', ...REVERSE])
  })

  it('stops what had started when starting fails, says why, and exits 1', async () => {
    const { code, lines, log } = await run('start-fails')
    expect([code, lines]).toEqual([1, REVERSE])
    expect(log).toContain('"code":"PORT_IN_USE","error":"port 1 is in use","msg":"start failed"')
  })

  it('stops when it is told while it starts', async () => {
    expect(await run('start-hangs', 'SIGTERM')).toMatchObject({ code: 0, lines: ['ready', ...REVERSE] })
  })

  it('goes on stopping when a part fails to, and exits 1', async () => {
    const { code, lines, log } = await run('stop-fails', 'SIGTERM')
    expect([code, lines]).toEqual([1, ['ready', ...REVERSE]])
    expect(log).toContain('"part":"second","error":"would not stop"')
  })

  it('exits 1 after a deadline when a part never stops, naming those that wait', async () => {
    const { code, log } = await run('stop-hangs', 'SIGTERM')
    expect(code).toBe(1)
    expect(log).toContain('"waitingFor":["second","first"],"msg":"stop deadline passed"')
  })

  it.each(['uncaught', 'rejected'])('stops its parts on an error that is %s, and exits 1', async (mode) => {
    const { code, lines, log } = await run(mode)
    expect([code, lines]).toEqual([1, ['ready', ...REVERSE]])
    expect(log).toContain('INVARIANT_BROKEN')
  })
})
