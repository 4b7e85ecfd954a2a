import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../../kit/root.ts'
import { DOCUMENTS } from '../../../scripts/docs.ts'

it.each(Object.entries(DOCUMENTS))('%s is what the code says; if not, run npm run docs', (path, make) => {
  expect(readFileSync(join(packageRoot, path), 'utf8')).toBe(make())
})
