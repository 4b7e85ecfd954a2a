/** Lists the files of an artefact. Symbolic links are followed, and must stay inside the roots like the artefact itself. */
import type { Stats } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ServingError } from '../../kit/errors.ts'
import { type ArtifactRoots, isInside } from './artifact-uri.ts'
import type { ArtifactListing } from './artifact-version.ts'

export interface ArtifactFile {
  /** Real path of the source. */
  readonly source: string
  /** Where it goes, relative to the model's folder. */
  readonly relative: string
  readonly bytes: number
}

const MAX_FILES = 100_000
const MAX_DEPTH = 32

/** @throws ServingError ARTIFACT_URI_REFUSED (a link that leaves the roots), ARTIFACT_INVALID */
export async function listArtifactFiles(folder: string, roots: ArtifactRoots): Promise<ArtifactFile[]> {
  const files: ArtifactFile[] = []
  await collect(folder, '', 0)
  return files

  async function collect(directory: string, relative: string, depth: number): Promise<void> {
    if (depth > MAX_DEPTH) throw invalid(folder, relative, `is more than ${String(MAX_DEPTH)} folders deep`)
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      const path = join(relative, entry.name)
      const source = await follow(join(directory, entry.name), path)
      const found: Stats = await stat(source)
      if (found.isDirectory()) await collect(source, path, depth + 1)
      else if (found.isFile()) files.push({ source, relative: path, bytes: found.size })
      else throw invalid(folder, path, 'is neither a file nor a folder')
      if (files.length > MAX_FILES) throw invalid(folder, path, `more than ${String(MAX_FILES)} files`)
    }
  }

  async function follow(path: string, relative: string): Promise<string> {
    const real = await realpath(path).catch((error: unknown) => {
      throw invalid(folder, relative, 'is a link to nothing', error)
    })
    if (isInside(real, roots)) return real
    throw new ServingError(
      'ARTIFACT_URI_REFUSED',
      `artefact ${folder}: ${relative} leads to ${real}, outside --artifact-roots (${roots.join(', ')})`,
    )
  }
}

/** The first level of a folder, links followed, and in which of its folders a file of that name is. */
export async function listFirstLevel(folder: string, descriptionFile: string): Promise<ArtifactListing> {
  const folders: string[] = []
  const files: string[] = []
  const describedFolders: string[] = []
  for (const name of await readdir(folder)) {
    if ((await statOptional(join(folder, name)))?.isDirectory() !== true) files.push(name)
    else {
      folders.push(name)
      if ((await statOptional(join(folder, name, descriptionFile)))?.isFile() === true) describedFolders.push(name)
    }
  }
  return { folders, files, describedFolders }
}

/** A link to nothing, or to itself, is found when it is copied; what cannot be looked at is told. */
const statOptional = (path: string): Promise<Stats | undefined> =>
  stat(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && ABSENT.has(String(error.code))) return undefined
    throw error
  })

const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP'])

const invalid = (folder: string, relative: string, reason: string, cause?: unknown): ServingError =>
  new ServingError('ARTIFACT_INVALID', `artefact ${folder}: ${relative}: ${reason}`, { cause })
