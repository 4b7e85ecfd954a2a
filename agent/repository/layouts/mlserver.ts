/**
 * MLServer's folder: the artefact's files and `model-settings.json`, whose name is the internal one. An artefact without
 * one gets it from what the model requires, see `mlserver-settings.ts`.
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { DesiredModel } from '../../desired/desired.ts'
import { type ArtifactListing, numberedFolders, onlyVersion } from '../artifact-version.ts'
import { readOptional, writeDocument } from './json-document.ts'
import type { RepositoryLayout } from './layout.ts'
import { type ArtifactContent, SETTINGS_FILE, synthesiseSettings, toModelSettings } from './mlserver-settings.ts'

/**
 * Settings in the root win, even over a version that is asked for; else the folder of that version, or the highest one,
 * that holds settings; else the root. @throws ServingError ARTIFACT_NOT_FOUND
 */
export function selectMlserverFolder(listing: ArtifactListing, requested: number | undefined): string {
  if (listing.files.includes(SETTINGS_FILE)) return ''
  const described = numberedFolders(listing.describedFolders)
  if (requested !== undefined) return onlyVersion(described, requested, `numbered folder with ${SETTINGS_FILE}`)
  return described.at(-1) ?? ''
}

export const mlserverLayout: RepositoryLayout = {
  descriptionFile: SETTINGS_FILE,
  selectFolder: selectMlserverFolder,
  async describe(folder, model, ingress) {
    const path = join(folder, SETTINGS_FILE)
    const own = await readOptional(path)
    const settings = toModelSettings(own ?? (await synthesise(folder, model)), model, ingress)
    await removeNestedSettings(folder)
    await writeDocument(path, settings)
  },
}

async function synthesise(folder: string, model: DesiredModel): Promise<string> {
  const entries = (await readdir(folder, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const files = entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  const sources = files.filter((name) => name.endsWith('.py'))
  const content: ArtifactContent = {
    files,
    folders: entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name),
    python: await Promise.all(
      sources.map(async (file) => ({ file, source: await readFile(join(folder, file), 'utf8') })),
    ),
  }
  return JSON.stringify(synthesiseSettings(content, model.requirements))
}

/** MLServer looks for settings at any depth and would take those of a subfolder for a model of their own. */
async function removeNestedSettings(folder: string): Promise<void> {
  for (const path of await readdir(folder, { recursive: true }))
    if (path.endsWith(sep + SETTINGS_FILE)) await rm(join(folder, path), { recursive: true })
}
