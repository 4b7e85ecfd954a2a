/** Schemathesis out of PyPI, in a virtual environment of its own under .millrace/, made once. */
import { execFile } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packageRoot } from '../../kit/root.ts'

const VERSION = '4.32.5'
const INSTALL_TIMEOUT_MS = 240_000
const RUN_TIMEOUT_MS = 180_000

const run = promisify(execFile)

/** Path of the command; `MILLRACE_TEST_SCHEMATHESIS` names one of your own. */
async function findSchemathesis(): Promise<string> {
  const own = process.env['MILLRACE_TEST_SCHEMATHESIS']
  if (own !== undefined && own !== '') return own
  const folder = join(packageRoot, '.millrace', 'tools', `schemathesis-${VERSION}`)
  const command = join(folder, 'bin', 'schemathesis')
  const marker = join(folder, '.complete')
  if (existsSync(marker)) return command
  rmSync(folder, { recursive: true, force: true })
  await run('python3', ['-m', 'venv', folder], { timeout: INSTALL_TIMEOUT_MS })
  const quiet = ['--no-input', '--disable-pip-version-check', '--quiet', '--only-binary', ':all:']
  await run(join(folder, 'bin', 'python'), ['-m', 'pip', 'install', ...quiet, `schemathesis==${VERSION}`], {
    timeout: INSTALL_TIMEOUT_MS,
  })
  writeFileSync(marker, VERSION)
  return command
}

/** What a run over an OpenAPI document said, and whether nothing was found. */
export interface SchemathesisRun {
  readonly isClean: boolean
  readonly output: string
}

export async function runSchemathesis(url: string, options: readonly string[]): Promise<SchemathesisRun> {
  const command = await findSchemathesis()
  try {
    const { stdout } = await run(command, ['run', url, '--no-color', ...options], {
      timeout: RUN_TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    })
    return { isClean: true, output: stdout }
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string }
    return { isClean: false, output: `${stdout}\n${stderr}\n${message}` }
  }
}
