// The build, without a build tool: generated API types, TypeScript and the Wasm filters, each only when stale.
// Plain JavaScript because it is what runs first on a fresh clone.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const SOURCE_FOLDERS = [
  'api',
  'kit',
  'xds',
  'wasm-filter/host',
  'scheduler',
  'agent',
  'model-server',
  'mesh',
  'dataflow',
  'envoy',
  'cli',
  'up',
  'bin',
  'bench',
]
/** Programs that tests start as processes. */
const TEST_PROGRAMS = ['test/support/test-model-server.ts', 'test/support/lifecycle-child.ts']
/** Output is made here and renamed into place when whole, so nobody runs half of a build. */
const WORK_FOLDER = join(root, '.millrace/build')
const LOCK = join(root, '.millrace/build.lock')
const LOCK_DEADLINE_MS = 300_000
const STEPS = {
  generate: { inputs: ['api/proto'], stamp: 'api/generated/.stamp', run: generate },
  wasm: {
    inputs: ['wasm-filter/assembly', 'wasm-filter/asconfig.json'],
    stamp: 'wasm-filter/build/.stamp',
    run: buildWasm,
  },
  typescript: {
    inputs: [...SOURCE_FOLDERS, ...TEST_PROGRAMS, 'tsconfig.json', 'tsconfig.build.json', 'package.json'],
    stamp: 'dist/.stamp',
    run: compile,
  },
}

/** Newest modification time under a path, in milliseconds; 0 when it does not exist. */
function newest(path) {
  if (!existsSync(path)) return 0
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(
    stat.mtimeMs,
    ...readdirSync(path)
      .filter((n) => n !== 'node_modules')
      .map((n) => newest(join(path, n))),
  )
}

function tool(name, args) {
  const result = spawnSync(join(root, 'node_modules', '.bin', name), args, { cwd: root, encoding: 'utf8' })
  if (result.error) throw new Error(`cannot run ${name}: run "npm ci" first (${result.error.message})`)
  if (result.status !== 0) throw new Error(`${name} failed:\n${result.stdout}${result.stderr}`)
}

function generate() {
  const protos = readdirSync(join(root, 'api/proto')).filter((n) => n.endsWith('.proto'))
  tool('proto-loader-gen-types', [
    '--longs=String',
    '--enums=String',
    '--defaults',
    '--oneofs',
    '--grpcLib=@grpc/grpc-js',
    '--importFileExtension=.ts',
    '--targetFileExtension=.ts',
    '-I=api/proto',
    '--outDir=.millrace/build/generated',
    ...protos,
  ])
  replaceFolder('api/generated', 'generated')
}

function buildWasm() {
  if (!existsSync(join(root, 'wasm-filter/assembly'))) return
  mkdirSync(join(root, 'wasm-filter/build'), { recursive: true })
  for (const filter of ['router', 'rename-rest', 'rename-grpc', 'mirror']) {
    tool('asc', [
      `wasm-filter/assembly/${filter}.ts`,
      '--config',
      'wasm-filter/asconfig.json',
      '--target',
      'release',
      '--outFile',
      `wasm-filter/build/${filter}.wasm`,
    ])
  }
}

function compile() {
  tool('tsc', ['-p', 'tsconfig.build.json', '--outDir', '.millrace/build/dist'])
  replaceFolder('dist', 'dist')
}

/** Puts what was built under the work folder in the place of `target`. */
function replaceFolder(target, built) {
  rmSync(join(root, target), { recursive: true, force: true })
  renameSync(join(WORK_FOLDER, built), join(root, target))
}

function isStale(step) {
  const stamp = join(root, step.stamp)
  const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0
  return built <= Math.max(...step.inputs.map((input) => newest(join(root, input))))
}

/** Runs `work` while no other build runs in this folder. The lock of a process that died is taken over. */
async function alone(work) {
  const giveUpAt = Date.now() + LOCK_DEADLINE_MS
  mkdirSync(dirname(LOCK), { recursive: true })
  for (;;) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (!lockHolderRuns()) rmSync(LOCK, { force: true })
    if (Date.now() > giveUpAt) throw new Error(`another build holds ${LOCK}: stop it, or remove the file`)
    await sleep(50)
  }
  try {
    return work()
  } finally {
    rmSync(LOCK, { force: true })
  }
}

function lockHolderRuns() {
  try {
    const pid = Number(readFileSync(LOCK, 'utf8'))
    if (pid > 0) process.kill(pid, 0)
    return true // an empty file is one that is just being written
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Runs the steps whose inputs are newer than what they built. Prints one line per step that runs. */
export async function buildIfStale(names = Object.keys(STEPS)) {
  if (!names.some((name) => isStale(STEPS[name]))) return
  await alone(() => {
    for (const name of names) if (isStale(STEPS[name])) runStep(name, STEPS[name])
  })
}

function runStep(name, step) {
  const startedAt = new Date()
  process.stderr.write(`building ${name} ... `)
  rmSync(WORK_FOLDER, { recursive: true, force: true })
  mkdirSync(WORK_FOLDER, { recursive: true })
  step.run()
  const stamp = join(root, step.stamp)
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, '')
  utimesSync(stamp, startedAt, startedAt) // a source edited meanwhile is newer than this
  process.stderr.write(`done in ${((Date.now() - startedAt.getTime()) / 1000).toFixed(1)} s\n`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await buildIfStale(process.argv.length > 2 ? process.argv.slice(2) : undefined)
  } catch (error) {
    process.stderr.write(`\n${error.message}\n`)
    process.exit(1)
  }
}
