/** Writes what the translators make of every case, and deletes files and folders that no case accounts for. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KINDS } from '../../xds/cache/resource.ts'
import { caseNames, GOLDEN_FILES, GOLDEN_FOLDER, goldenFile, readCase, toGoldenText, translate } from './cases.ts'

const names = caseNames()
for (const name of names) {
  const resources = translate(readCase(name))
  for (const kind of KINDS) writeFileSync(join(GOLDEN_FOLDER, name, goldenFile(kind)), toGoldenText(resources[kind]))
  for (const file of readdirSync(join(GOLDEN_FOLDER, name)))
    if (!GOLDEN_FILES.has(file)) rmSync(join(GOLDEN_FOLDER, name, file), { recursive: true })
}
for (const entry of readdirSync(GOLDEN_FOLDER, { withFileTypes: true }))
  if (entry.isDirectory() && !names.includes(entry.name)) rmSync(join(GOLDEN_FOLDER, entry.name), { recursive: true })
process.stdout.write(`${String(names.length)} cases written\n`)
