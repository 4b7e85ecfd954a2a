// The build, without a build tool: generated API types, TypeScript and the Wasm filters, each only when stale.
// Plain JavaScript because it is what runs first on a fresh clone.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const SOURCE_FOLDERS = [
  'api',
  'kit',
  'xds',
  'scheduler',
  'agent',
  'model-server',
  'mesh',
  'envoy',
  'cli',
  'up',
  'bin',
  'bench',
]
const STEPS = {
  generate: { inputs: ['api/proto'], stamp: 'api/generated/.stamp', run: generate },
  wasm: {
    inputs: ['wasm-filter/assembly', 'wasm-filter/asconfig.json'],
    stamp: 'wasm-filter/build/.stamp',
    run: buildWasm,
  },
  typescript: {
    inputs: [...SOURCE_FOLDERS, 'tsconfig.json', 'tsconfig.build.json', 'package.json'],
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
  rmSync(join(root, 'api/generated'), { recursive: true, force: true })
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
    '--outDir=api/generated',
    ...protos,
  ])
}

function buildWasm() {
  if (!existsSync(join(root, 'wasm-filter/assembly'))) return
  mkdirSync(join(root, 'wasm-filter/build'), { recursive: true })
  for (const filter of ['router', 'rename']) {
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
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  tool('tsc', ['-p', 'tsconfig.build.json'])
}

/** Runs the steps whose inputs are newer than their stamp. Prints one line per step that runs. */
export async function buildIfStale(names = Object.keys(STEPS)) {
  for (const name of names) {
    const step = STEPS[name]
    const stamp = join(root, step.stamp)
    const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0
    if (built > Math.max(...step.inputs.map((input) => newest(join(root, input))))) continue
    const started = performance.now()
    process.stderr.write(`building ${name} ... `)
    step.run()
    mkdirSync(dirname(stamp), { recursive: true })
    writeFileSync(stamp, '')
    process.stderr.write(`done in ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await buildIfStale(process.argv.length > 2 ? process.argv.slice(2) : undefined)
  } catch (error) {
    process.stderr.write(`\n${error.message}\n`)
    process.exit(1)
  }
}
