#!/usr/bin/env node
// Builds what is stale (a fresh clone has no dist/), then hands over to the real command in the same process.
import { buildIfStale } from '../scripts/build.mjs'

try {
  await buildIfStale()
} catch (error) {
  process.stderr.write(`\n${error.message}\n`)
  process.exit(1)
}
await import('../dist/bin/millrace.js')
