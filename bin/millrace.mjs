#!/usr/bin/env node
// Builds what is stale (a fresh clone has no dist/), then hands over to the real command in the same process.
import { buildIfStale } from '../scripts/build.mjs'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`millrace needs Node 20.19 or later; this is ${process.versions.node}: install a newer one\n`)
  process.exit(1)
}
try {
  await buildIfStale()
} catch (error) {
  process.stderr.write(`\n${error.message}\n`)
  process.exit(1)
}
await import('../dist/bin/millrace.js')
