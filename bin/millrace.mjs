#!/usr/bin/env node
// Builds what is stale (a fresh clone has no dist/), then hands over to the real command in the same process.
import { buildIfStale } from '../scripts/build.mjs'

await buildIfStale()
await import('../dist/bin/millrace.js')
