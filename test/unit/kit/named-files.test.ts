/** Whoever renames a file is told where people are sent to it. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../../kit/root.ts'

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: packageRoot,
  encoding: 'utf8',
})
  .trimEnd()
  .split('\n')

const NAMED = /`([\w./-]+\.(?:ts|mts|mjs|lua|proto|yaml))`/g
/** Envoy's, and a name that only explains. */
const NOT_OURS = new Set(['wasm.proto', 'validate.proto', 'env.ts'])
const LINKED = /\]\((?!https?:)([^)#]+)/g

describe.each(['README.md', 'CONTRIBUTING.md', 'docs/architecture.md', 'wasm-filter/README.md'])('%s', (document) => {
  const text = readFileSync(join(packageRoot, document), 'utf8')
  const found = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, name = '']) => name)

  it('names only source files that exist', () => {
    const exists = (name: string) =>
      NOT_OURS.has(name) || files.some((file) => file === name || file.endsWith(`/${name}`))
    expect(found(NAMED).filter((name) => !exists(name))).toEqual([])
  })

  it('links only to what exists', () => {
    const missing = found(LINKED).filter((link) => !files.includes(join(document, '..', link)))
    expect(missing).toEqual([])
  })
})
