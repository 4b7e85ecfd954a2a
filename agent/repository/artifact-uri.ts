/** From a model's `storageUri` to a folder on this machine, inside the folders that the operator allowed. */
import { realpath } from 'node:fs/promises'
import { isAbsolute, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ServingError } from '../../kit/errors.ts'

const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):/

/** The folders that artefacts may come from, with symbolic links resolved. */
export type ArtifactRoots = readonly string[]

/** Roots that do not exist (yet) are kept as they are written. */
export async function resolveRoots(roots: readonly string[]): Promise<ArtifactRoots> {
  return Promise.all(roots.map((root) => realpath(root).catch(() => resolve(root))))
}

/** True when `path` is one of the roots or below one. Both sides must be free of symbolic links. */
export const isInside = (path: string, roots: ArtifactRoots): boolean =>
  roots.some((root) => path === root || path.startsWith(root.endsWith(sep) ? root : root + sep))

/**
 * The real path of an artefact.
 * @throws ServingError ARTIFACT_URI_REFUSED, ARTIFACT_NOT_FOUND
 */
export async function resolveArtifact(storageUri: string, roots: ArtifactRoots): Promise<string> {
  const path = toPath(storageUri)
  try {
    const real = await realpath(path)
    if (isInside(real, roots)) return real
    throw refused(storageUri, real === path ? outside(roots) : `leads to ${real}, ${outside(roots)}`)
  } catch (error) {
    if (error instanceof ServingError) throw error
    // What lies outside is refused whether it exists or not, so that nobody can ask what exists.
    if (!isInside(resolve(path), roots)) throw refused(storageUri, outside(roots))
    throw new ServingError('ARTIFACT_NOT_FOUND', `storageUri ${JSON.stringify(storageUri)}: ${toReason(error)}`, {
      cause: error,
    })
  }
}

/** @throws ServingError ARTIFACT_URI_REFUSED for anything but an absolute path or a file:// URI */
function toPath(storageUri: string): string {
  if (isAbsolute(storageUri)) return checkBytes(storageUri, storageUri)
  const scheme = SCHEME.exec(storageUri)?.[1]?.toLowerCase()
  if (scheme === undefined)
    throw refused(storageUri, 'is not an absolute path; the CLI resolves relative ones against the manifest')
  if (scheme !== 'file') throw refused(storageUri, `scheme ${scheme} is not supported; use an absolute path or file://`)
  try {
    return checkBytes(storageUri, fileURLToPath(storageUri))
  } catch (error) {
    throw refused(storageUri, `is not a valid file URI (${toReason(error)}); write file:///absolute/path`)
  }
}

function checkBytes(storageUri: string, path: string): string {
  if (path.includes('\0')) throw refused(storageUri, 'contains a zero byte')
  return path
}

const refused = (storageUri: string, reason: string): ServingError =>
  new ServingError('ARTIFACT_URI_REFUSED', `storageUri ${JSON.stringify(storageUri)}: ${reason}`)

const outside = (roots: ArtifactRoots): string =>
  roots.length === 0
    ? "which is refused: the agent's --artifact-roots is empty"
    : `which is outside --artifact-roots (${roots.join(', ')})`

function toReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT') return 'does not exist on the machine of the agent'
  if (code === 'EACCES') return 'the agent may not read it'
  return error instanceof Error ? error.message : String(error)
}
