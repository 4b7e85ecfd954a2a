/**
 * MLServer out of PyPI, in a virtual environment of its own under `<tools>/mlserver-<version>/`. A marker is written when
 * the environment is whole; it holds what was installed, so that new pins lead to a new environment.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import { waitForLock } from '../lock.ts'
import { runCommand } from './command.ts'
import { type ToolsContext } from './find-tools.ts'
import { folderBytes } from './folder-bytes.ts'
import { findMlserverPython } from './mlserver-python.ts'
import { explainPipFailure } from './pip-failure.ts'
import { fromEnvironment } from './user-binary.ts'

const VERSION = '1.7.1'
const REQUIREMENTS = join(packageRoot, 'up/tools/mlserver-requirements.txt')
const MARKER = '.complete'
const LOCK_DEADLINE_MS = 900_000
const VENV_TIMEOUT_MS = 120_000
const INSTALL_TIMEOUT_MS = 800_000
/** The first start compiles Python files. */
const CHECK_TIMEOUT_MS = 60_000
const MEASURE_EVERY_MS = 2_000

const tool = { name: `MLServer ${VERSION}`, instead: 'set MLSERVER_BIN to an mlserver command of your own' }

/** What the pinned requirements can serve; models that require more are not placed here. */
export const MLSERVER_CAPABILITIES: readonly string[] = ['mlserver', 'python', 'sklearn']

/** @returns path of the command `mlserver`. @throws ServingError TOOL_MISSING, DOWNLOAD_FAILED */
export async function findMlserver(context: ToolsContext): Promise<string> {
  const own = fromEnvironment('MLSERVER_BIN', 'MLServer', context.environment)
  if (own !== undefined) return own
  const folder = join(context.toolsDir, `mlserver-${VERSION}`)
  const installed = installedMlserver(context.toolsDir)
  if (installed !== undefined) return installed
  return context.progress.step(`installing ${tool.name}`, async (note) => {
    const lock = await waitForLock(join(context.toolsDir, 'mlserver.lock'), {
      deadlineMs: LOCK_DEADLINE_MS,
      signal: context.signal,
      onWait: (pid) => {
        note(`process ${String(pid ?? '?')} is installing it, waiting`)
      },
    })
    try {
      return findInstalled(folder) ?? (await install(folder, context, note)) // whoever held the lock may have done it
    } finally {
      lock.release()
    }
  })
}

/** The `mlserver` that an earlier start installed. Touches no network. */
export const installedMlserver = (toolsDir: string): string | undefined =>
  findInstalled(join(toolsDir, `mlserver-${VERSION}`))

/** The command of an earlier start, if it is whole and has today's pins. */
function findInstalled(folder: string): string | undefined {
  const marker = join(folder, MARKER)
  const command = join(folder, 'bin', 'mlserver')
  if (!existsSync(marker) || !existsSync(command)) return undefined
  return readFileSync(marker, 'utf8') === readFileSync(REQUIREMENTS, 'utf8') ? command : undefined
}

async function install(folder: string, context: ToolsContext, note: (text: string) => void): Promise<string> {
  rmSync(folder, { recursive: true, force: true })
  try {
    const python = await findMlserverPython(tool, context)
    note('making a virtual environment')
    await makeEnvironment(python, folder, context)
    await installRequirements(folder, context, note)
    await checkRuns(folder, context)
    writeFileSync(join(folder, MARKER), readFileSync(REQUIREMENTS))
    return join(folder, 'bin', 'mlserver')
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    if (context.signal.aborted) throw new ServingError('CANCELLED', `stopped while installing ${tool.name}`)
    throw error
  }
}

async function makeEnvironment(python: string, folder: string, context: ToolsContext): Promise<void> {
  const { environment, signal } = context
  const made = await runCommand(python, ['-m', 'venv', folder], { timeoutMs: VENV_TIMEOUT_MS, environment, signal })
  if (made.kind === 'exited' && made.status === 0) return
  throw new ServingError(
    'TOOL_MISSING',
    `${tool.name} is installed with Python's venv, and ${python} cannot make one: ` +
      `install it (on Debian and Ubuntu the package python3-venv), or ${tool.instead}`,
  )
}

async function installRequirements(folder: string, context: ToolsContext, note: (text: string) => void): Promise<void> {
  const temporary = join(folder, 'tmp')
  mkdirSync(temporary)
  const measure = setInterval(() => {
    note(`${(folderBytes(folder) / 1e6).toFixed(0)} MB`)
  }, MEASURE_EVERY_MS)
  try {
    const quiet = '--no-input --disable-pip-version-check --progress-bar off --retries 2'.split(' ')
    const args = ['-m', 'pip', 'install', ...quiet, '--only-binary', ':all:', '--requirement', REQUIREMENTS]
    const end = await runCommand(join(folder, 'bin', 'python'), args, {
      timeoutMs: INSTALL_TIMEOUT_MS,
      signal: context.signal,
      environment: { ...context.environment, TMPDIR: temporary, PIP_USER: '0' },
    })
    if (end.kind !== 'exited' || end.status !== 0) throw explainPipFailure(tool, `mlserver==${VERSION}`, end)
  } finally {
    clearInterval(measure)
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** What installs may still not run here: another C library, another processor. */
async function checkRuns(folder: string, context: ToolsContext): Promise<void> {
  const { environment, signal } = context
  const end = await runCommand(join(folder, 'bin', 'mlserver'), ['--version'], {
    timeoutMs: CHECK_TIMEOUT_MS,
    environment,
    signal,
  })
  if (end.kind === 'exited' && end.status === 0) return
  const reason = end.kind === 'notFound' ? 'not found' : (end.output.trim().split('\n').at(-1) ?? '')
  throw new ServingError('TOOL_MISSING', `${tool.name} does not run on this machine (${reason}): ${tool.instead}`)
}
