/**
 * The folder shared with the model server: `<repository>/<internal name>/`.
 *
 * A model's folder is complete or absent: it is built under `.millrace/tmp` on the same file system and renamed into
 * place, with its record (`.millrace.json`) inside. Only folders with such a record are ever removed.
 */
import { constants } from 'node:fs'
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ServingError } from '../../kit/errors.ts'
import type { DesiredModel } from '../desired/desired.ts'
import { type ArtifactFile, listArtifactFiles, listFirstLevel } from './artifact-files.ts'
import { resolveArtifact, resolveRoots } from './artifact-uri.ts'
import type { Ingress, RepositoryLayout } from './layouts/layout.ts'
import type { StoredModel } from './stored-model.ts'

export interface ModelRepository {
  /** Puts the model's folder in place, unless it is there for the same spec and attempt. @throws ServingError ARTIFACT_* */
  prepare(model: DesiredModel): Promise<StoredModel>
  /** Removing what is not there, or what no agent made, does nothing. */
  remove(internalName: string): Promise<void>
  /** The folders that agents made. */
  list(): Promise<ReadonlyMap<string, StoredModel>>
}

interface Deps {
  readonly folder: string
  readonly artifactRoots: readonly string[]
  readonly layout: RepositoryLayout
  readonly ingress: Ingress
}

const OWN_FOLDER = '.millrace'
const RECORD_FILE = '.millrace.json'
/** Left free when an artefact is copied, for logs and everybody else's temporary files. */
const SPARE_BYTES = 16 * 1024 * 1024
/** The model server may run as another user. */
const FOLDER_MODE = 0o755
const INTERNAL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

/** Opens the repository and removes what an interrupted agent left half done. */
export async function openModelRepository({ folder, artifactRoots, layout, ingress }: Deps): Promise<ModelRepository> {
  const temporary = join(folder, OWN_FOLDER, 'tmp')
  await rm(temporary, { recursive: true, force: true })
  await mkdir(temporary, { recursive: true })

  return { prepare, remove, list }

  async function prepare(model: DesiredModel): Promise<StoredModel> {
    const place = placeOf(model.internalName)
    const { specKey, attempt } = model
    const existing = await readRecord(place)
    if (existing?.specKey === specKey && existing.attempt === attempt) return existing
    const build = await makeTemporary('build-').catch((error: unknown) => {
      throw toCopyError(model, error)
    })
    try {
      await chmod(build, FOLDER_MODE)
      const files = await findFiles(model)
      const artifactBytes = await copyFiles(files, build)
      await layout.describe(build, model, ingress)
      const stored = { specKey, attempt, artifactBytes }
      await writeFile(join(build, RECORD_FILE), JSON.stringify(stored))
      await moveAway(place)
      await rename(build, place)
      return stored
    } catch (error) {
      throw toCopyError(model, error)
    } finally {
      await rm(build, { recursive: true, force: true })
    }
  }

  /** Somebody may have removed the whole repository meanwhile. */
  async function makeTemporary(prefix: string): Promise<string> {
    await mkdir(temporary, { recursive: true })
    return mkdtemp(join(temporary, prefix))
  }

  async function findFiles(model: DesiredModel): Promise<ArtifactFile[]> {
    const roots = await resolveRoots(artifactRoots)
    const uri = JSON.stringify(model.storageUri)
    const artifact = await resolveArtifact(model.storageUri, roots)
    if (!(await stat(artifact)).isDirectory())
      throw new ServingError('ARTIFACT_NOT_FOUND', `storageUri ${uri}: is a file; name the folder that holds it`)
    const listing = await listFirstLevel(artifact, layout.descriptionFile)
    const selected = layout.selectFolder(listing, model.artifactVersion)
    const source = selected === '' ? artifact : await resolveArtifact(join(artifact, selected), roots)
    const files = await listArtifactFiles(source, roots)
    if (files.length > 0) return files
    throw new ServingError('ARTIFACT_NOT_FOUND', `storageUri ${uri}: ${source} is empty`)
  }

  async function copyFiles(files: readonly ArtifactFile[], build: string): Promise<number> {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    const { bavail, bsize } = await statfs(build)
    if (bytes + SPARE_BYTES > bavail * bsize)
      throw new ServingError(
        'ARTIFACT_COPY_FAILED',
        `the artefact has ${String(bytes)} bytes and ${folder} has ${String(bavail * bsize)} free`,
      )
    for (const file of files) {
      const target = join(build, file.relative)
      await mkdir(dirname(target), { recursive: true })
      await copyFile(file.source, target, constants.COPYFILE_FICLONE)
    }
    return bytes
  }

  async function remove(internalName: string): Promise<void> {
    const place = placeOf(internalName)
    if ((await readRecord(place)) !== undefined) await moveAway(place)
  }

  /** Renaming first makes the removal atomic for the server and for an agent that dies here. */
  async function moveAway(place: string): Promise<void> {
    const trash = await makeTemporary('trash-')
    try {
      await rename(place, join(trash, 'model'))
    } catch (error) {
      if (!isMissing(error)) throw error
    } finally {
      await rm(trash, { recursive: true, force: true })
    }
  }

  async function list(): Promise<ReadonlyMap<string, StoredModel>> {
    const found = new Map<string, StoredModel>()
    await mkdir(folder, { recursive: true })
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || !INTERNAL_NAME.test(entry.name)) continue
      const stored = await readRecord(join(folder, entry.name))
      if (stored !== undefined) found.set(entry.name, stored)
    }
    return found
  }

  function placeOf(internalName: string): string {
    if (INTERNAL_NAME.test(internalName)) return join(folder, internalName)
    throw new ServingError('REQUEST_INVALID', `internalName ${JSON.stringify(internalName)} cannot name a folder`)
  }
}

/** A folder without a readable record is not ours. */
async function readRecord(place: string): Promise<StoredModel | undefined> {
  try {
    const parsed = JSON.parse(await readFile(join(place, RECORD_FILE), 'utf8')) as Partial<StoredModel>
    const { specKey, attempt, artifactBytes } = parsed
    if (typeof specKey !== 'string' || typeof attempt !== 'number' || typeof artifactBytes !== 'number')
      return undefined
    return { specKey, attempt, artifactBytes }
  } catch {
    return undefined
  }
}

function toCopyError(model: DesiredModel, error: unknown): ServingError {
  if (error instanceof ServingError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new ServingError('ARTIFACT_COPY_FAILED', `storageUri ${JSON.stringify(model.storageUri)}: ${reason}`, {
    cause: error,
  })
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'
