/**
 * Two things cost a process of Node much and show in no result: objects that get a hidden class each, and finished requests that
 * the garbage collector takes for alive (CONTRIBUTING.md, "What is fast in this Node"). Nothing here is timed.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packageRoot } from '../../../kit/root.ts'

const run = promisify(execFile)
const CHILD = join(packageRoot, 'test/support/hot-paths.ts')
const FLAGS = [
  '--expose-gc',
  '--log-maps',
  '--no-log-maps-details',
  '--min-semi-space-size=4', // MiB: many small rounds
  '--max-semi-space-size=4',
  '--initial-old-space-size=512', // MiB: no full round, which would hide what is left
  '--no-allocation-site-pretenuring', // what V8 thinks will live long it puts into the old space at once
]
/** Start-up makes some hundred; each of the paths is driven thousands of times. */
const OFTEN = 2_000
/** Of a request, which has some kilobytes of objects. What V8 learns of the code is a hundred. */
const MOST_LEFT_BYTES = 500

let left: Readonly<Record<string, number>> = {}
/** By the key that was new to an object which a spread had begun: how often that made a hidden class. */
const made = new Map<string, number>()
const folder = mkdtempSync(join(tmpdir(), 'millrace-hot-paths-'))

beforeAll(async () => {
  const { stdout } = await run(process.execPath, [
    ...FLAGS,
    `--logfile=${join(folder, 'v8.log')}`,
    '--import',
    'tsx',
    CHILD,
  ])
  left = JSON.parse(stdout) as typeof left
  for (const name of readdirSync(folder))
    for (const [, key = ''] of readFileSync(join(folder, name), 'utf8').matchAll(
      /^map,Transition,.*,prototype,(.*)$/gm,
    ))
      made.set(key, (made.get(key) ?? 0) + 1)
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

test('objects that are made for each request have their hidden class from the first one on', () => {
  expect(made.size).toBeGreaterThan(0) // else the log says something else than it did
  expect([...made].filter(([, times]) => times > OFTEN)).toEqual([])
})

test.each(['gateway', 'engine', 'engine over topics', 'model gateway'])(
  'a finished request of the %s is garbage at once',
  (path) => {
    expect(left[path]).toBeLessThan(MOST_LEFT_BYTES)
  },
)
