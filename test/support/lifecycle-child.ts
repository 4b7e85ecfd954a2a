/** A process for the tests of kit/lifecycle.ts: `argv[2]` says how it behaves; lines on standard output say what it did. */
import { createServer } from 'node:net'
import { ServingError } from '../../kit/errors.ts'
import { runProcess, type Started } from '../../kit/lifecycle.ts'
import { createLogger } from '../../kit/log.ts'

const mode = process.argv[2] ?? ''
/** Who hangs is to be noticed soon; others have time. */
const STOP_DEADLINE_MS = mode === 'stop-hangs' ? 1_000 : 30_000
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const keepAlive = createServer().listen(0, '127.0.0.1')
const never = new Promise<void>(() => undefined)

await runProcess(createLogger('test', 'info'), start, STOP_DEADLINE_MS)

async function start(started: Started): Promise<void> {
  for (const name of ['first', 'second', 'third'])
    started(name, {
      stop: async () => {
        say(`stop ${name}`)
        if (mode === 'stop-fails' && name === 'second') throw new ServingError('PROCESS_FAILED', 'would not stop')
        if (mode === 'stop-hangs' && name === 'second') await never
        if (name === 'first') keepAlive.close()
      },
    })
  if (mode === 'start-fails') throw new ServingError('PORT_IN_USE', 'port 1 is in use')
  if (mode === 'start-hangs') {
    say('ready')
    await never
  }
  if (mode === 'uncaught')
    setImmediate(() => {
      throw new Error('a bug')
    })
  if (mode === 'rejected') void Promise.reject(new Error('a forgotten promise'))
  say('ready')
}
