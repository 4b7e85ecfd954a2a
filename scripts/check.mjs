// Builds, and meanwhile checks: format, lint, types, unused code, two at a time. Ends with what failed, and why.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { buildIfStale } from './build.mjs'

const build = fileURLToPath(new URL('build.mjs', import.meta.url))
const npm = (name) => ({ name, command: 'npm', args: ['run', '--silent', name] })
const checks = [
  { name: 'build', command: process.execPath, args: [build] },
  npm('lint'),
  npm('format:check'),
  npm('types'),
  npm('knip'),
]
const AT_ONCE = 2

function run({ name, command, args }) {
  const began = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => {
    const end = (isOk) => {
      console.log(`${isOk ? 'ok' : 'FAILED'} ${name} after ${((performance.now() - began) / 1000).toFixed(1)} s`)
      resolve(isOk ? [] : [`--- ${name}\n${output}`])
    }
    child.once('error', (error) => {
      output += error.message
      end(false)
    })
    child.once('close', (code) => end(code === 0))
  })
}

await buildIfStale(['generate']) // what the others read
const failures = []
const waiting = checks.values()
const worker = async () => {
  for (const check of waiting) failures.push(...(await run(check)))
}
await Promise.all(Array.from({ length: AT_ONCE }, worker))
if (failures.length > 0) {
  console.error(failures.join('\n'))
  process.exitCode = 1
}
